"""An executor of simulated time."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable

from rdc.jobs.layout import RECORD_FILE
from rdc.jobs.records import Record
from rdc.system.files import json_bytes, write_bytes_atomically
from sweeps.capacity import Capacity, Machine, Resources
from sweeps.executor import Attempt, AttemptEnd

SLOTS = 16


class Slots:
    """Machines that are always up to their jobs: only the driver's time is real.

    A job leaves its record when it is over. Its time, and what it takes to write the
    record, are not the driver's: the first passes at once where the driver waits.

    Args:
      job_seconds: that every job takes, or each one.

    Attributes:
      seconds: of writing records.
      took: of the last sweep, by `now`.
    """

    def __init__(self, job_seconds: float | Callable[[Attempt], float] = 0.0):
        self.seconds = self.took = 0.0
        self._job_seconds, self._skipped = job_seconds, 0.0
        self._running: list[tuple[float, int, AttemptEnd]] = []
        self._number = 0

    def now(self) -> float:
        return time.perf_counter() + self._skipped - self.seconds

    def capacity(self) -> Capacity:
        return Capacity((Machine(1, gpus=2.0),) * SLOTS)

    def has_room(self, wanted: Resources) -> bool:
        return len(self._running) < SLOTS

    def places(self, wanted: Resources) -> int:
        return 1

    def avoid(self, node: str) -> str:
        return node

    def node_of(self, attempt: Attempt) -> str:
        return ""

    def foresee(self, waiting: Iterable[Resources]) -> None: ...

    def start(self, attempt: Attempt) -> None:
        own = self._job_seconds
        took = own(attempt) if callable(own) else own
        over = self.now() + took
        began = time.perf_counter()
        record = Record(
            stage="train",
            job_id=attempt.job_id,
            status="ok",
            attempt=attempt.number,
            seconds=took,
        )
        data = json_bytes(record.to_dict())
        if attempt.parcels:
            end = AttemptEnd(attempt, 0, took, brought=({RECORD_FILE: data},))
        else:
            write_bytes_atomically(attempt.folder / RECORD_FILE, data)
            end = AttemptEnd(attempt, 0, took)
        self._number += 1
        heapq.heappush(self._running, (over, self._number, end))
        self.seconds += time.perf_counter() - began

    def wait(self, seconds: float) -> list[AttemptEnd]:
        idle = self._running[0][0] - self.now() if self._running else seconds
        self._skipped += max(0.0, min(idle, seconds))
        ends = []
        while self._running and self._running[0][0] <= self.now():
            ends.append(heapq.heappop(self._running)[2])
        return ends

    def stop(self, grace_seconds: float) -> None: ...

    def close(self) -> None: ...


class LeapingSlots(Slots):
    """The same; where the driver waits, it is the next job's end at once."""

    def wait(self, seconds: float) -> list[AttemptEnd]:
        return super().wait(math.inf if self._running else 0.0)
