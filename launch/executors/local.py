"""Attempts as subprocesses on this machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from launch.executors.child import Child, ChildSettings
from launch.executors.cores import usable_cores
from launch.executors.hardware import accelerator_type
from launch.executors.memory import memory_gb
from sweeps.capacity import Capacity, Machine, Resources
from sweeps.executor import Attempt, AttemptEnd

POLL_SECONDS = 0.01
_ROUNDING = 1e-6


class LocalExecutor:
    """A pool of subprocesses; the driver never starts more than the machine holds.

    Args:
      gpus: accelerators of this machine; jobs that want a share of one divide it.
      device: their kind.
    """

    def __init__(
        self, settings: ChildSettings, gpus: int = 0, device: str | None = None
    ):
        self._settings = settings
        machine = Machine(len(usable_cores()), gpus, memory_gb(), device)
        self._capacity = Capacity((machine,))
        self._children: list[Child] = []
        self._gpus = _Gpus(gpus)

    @classmethod
    def on(cls, described: Mapping[str, Any], settings: ChildSettings) -> LocalExecutor:
        """On this machine, as `rdc.system.hardware.describe` tells of it."""
        if described["platform"] != "gpu":
            return cls(settings)
        kind = accelerator_type(described["device_kind"])
        return cls(settings, described["device_count"], kind)

    def capacity(self) -> Capacity:
        return self._capacity

    def has_room(self, wanted: Resources) -> bool:
        running = (child.attempt.resources for child in self._children)
        return self._capacity.has_room(wanted, running) and self._gpus.have(wanted.gpus)

    def places(self, wanted: Resources) -> int:
        return self._capacity.places(wanted)

    def avoid(self, node: str) -> str:
        self._capacity = Capacity(())
        return socket.gethostname()

    def node_of(self, attempt: Attempt) -> str:
        return ""

    def foresee(self, waiting: Iterable[Resources]) -> None:
        """Nothing: this machine stays as it is."""

    def start(self, attempt: Attempt) -> None:
        variables = {}
        if self._capacity.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus.take(attempt)
        self._children.append(Child(attempt, self._settings, variables=variables))

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
                    self._gpus.give_back(end.attempt)
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


class _Gpus:
    """Which attempt uses which GPUs, or what share of one."""

    def __init__(self, count: int):
        # A process that sees some GPUs of the machine only hands on some of these.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._names = visible.split(",") if visible else list(map(str, range(count)))
        self._free = [1.0] * count
        self._held: dict[str, dict[int, float]] = {}

    def _chosen(self, wanted: float) -> dict[int, float] | None:
        """GPU to share of it; None where there is no room."""
        share = min(wanted, 1.0)
        count = round(wanted) if wanted >= 1 else int(wanted > 0)
        fitting = [i for i, free in enumerate(self._free) if free + _ROUNDING >= share]
        if len(fitting) < count:
            return None
        fullest_first = sorted(fitting, key=lambda i: self._free[i])
        return dict.fromkeys(fullest_first[:count], share)

    def have(self, wanted: float) -> bool:
        return self._chosen(wanted) is not None

    def take(self, attempt: Attempt) -> str:
        """The value of `CUDA_VISIBLE_DEVICES`."""
        chosen = self._chosen(attempt.resources.gpus) or {}
        for i, share in chosen.items():
            self._free[i] -= share
        self._held[attempt.job_id] = chosen
        return ",".join(self._names[i] for i in sorted(chosen))

    def give_back(self, attempt: Attempt) -> None:
        for i, share in self._held.pop(attempt.job_id, {}).items():
            self._free[i] += share
