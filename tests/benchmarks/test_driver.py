"""What the driver of a sweep costs per job, and to find ten thousand finished."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from rdc.jobs.records import Record
from rdc.system.files import write_json_atomically
from sweeps.driver import Driver
from sweeps.executor import Attempt, AttemptEnd, Capacity, Machine, Resources
from sweeps.lease import Lease
from sweeps.outputs import Outputs

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from sweep_lab import LIMITS, Lab, Silent

pytestmark = pytest.mark.benchmark

JOBS, SLOTS = 10_000, 16


class NoOps:
    """Jobs that write their record at once; the time that takes is not the driver's."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ends: list[AttemptEnd] = []

    def capacity(self) -> Capacity:
        return Capacity((Machine(SLOTS),))

    def has_room(self, wanted: Resources) -> bool:
        return len(self._ends) < SLOTS

    def start(self, attempt: Attempt) -> None:
        began = time.perf_counter()
        record = Record(
            stage="train", job_id=attempt.job_id, status="ok", attempt=attempt.number
        )
        write_json_atomically(attempt.folder / "record.json", record.to_dict())
        self._ends.append(AttemptEnd(attempt, 0, 0.0))
        self.seconds += time.perf_counter() - began

    def wait(self, seconds: float) -> list[AttemptEnd]:
        ends, self._ends = self._ends, []
        return ends

    def stop(self, grace_seconds: float) -> None: ...

    def close(self) -> None: ...


def test_driver_per_job_and_relaunch(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", jobs=JOBS)
    tasks, executor = lab.tasks(), NoOps()

    def run() -> tuple[float, int]:
        began = time.perf_counter()
        with Lease(lab.out) as lease:
            driver = Driver(
                Outputs(lab.out),
                tasks,
                executor,
                lease,
                limits=LIMITS,
                observer=Silent(),
            )
            end = driver.run()
        assert end.counts == {"ok": JOBS}
        return time.perf_counter() - began, end.started

    seconds, started = run()
    assert started == JOBS
    again_seconds, started = run()
    assert started == 0
    own = 1000 * (seconds - executor.seconds) / JOBS
    print(
        f"\ndriver: {own:.2f} ms per job; relaunch of {JOBS} finished: "
        f"{again_seconds:.2f} s"
    )
