"""Attempts as subprocesses on this machine."""

from __future__ import annotations

import time

from launch.executors.child import Child, ChildSettings
from launch.executors.cores import usable_cores
from sweeps.executor import Attempt, AttemptEnd, Capacity

POLL_SECONDS = 0.01


class LocalExecutor:
    """A pool of subprocesses; the driver never starts more than the machine holds.

    Args:
      gpus: accelerators of this machine; each serves one process at a time.
    """

    def __init__(self, settings: ChildSettings, gpus: int = 0):
        self._settings = settings
        self._capacity = Capacity(len(usable_cores()), gpus, len(usable_cores()))
        self._children: list[Child] = []
        self._free_gpus = list(range(gpus))
        self._held_gpus: dict[str, list[int]] = {}

    def capacity(self) -> Capacity:
        return self._capacity

    def start(self, attempt: Attempt) -> None:
        variables = {}
        count = round(attempt.resources.gpus)
        if self._capacity.gpus:
            held = [self._free_gpus.pop(0) for _ in range(count)]
            self._held_gpus[attempt.job_id] = held
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, held))
        self._children.append(Child(attempt, self._settings, **variables))

    def wait(self, seconds: float) -> list[AttemptEnd]:
        deadline = time.monotonic() + seconds
        while True:
            ends, running = [], []
            for child in self._children:
                end = child.poll()
                if end is None:
                    running.append(child)
                else:
                    ends.append(end)
                    self._free_gpus += self._held_gpus.pop(end.attempt.job_id, [])
            self._children = running
            if ends or time.monotonic() >= deadline:
                return ends
            time.sleep(POLL_SECONDS)

    def stop(self, grace_seconds: float) -> None:
        for child in self._children:
            child.stop(grace_seconds)

    def close(self) -> None:
        for child in self._children:
            child.close()
        self._children = []
