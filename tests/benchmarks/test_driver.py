"""What the driver of a sweep costs per job, on a disk and over S3; how busy it keeps
slots, and to find ten thousand jobs finished."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from rdc.jobs.layout import RECORD_FILE
from rdc.jobs.records import Record
from rdc.system.files import json_bytes, write_bytes_atomically
from rdc.system.store import Store
from sweeps.driver import SweepEnd
from sweeps.executor import Attempt, AttemptEnd, Capacity, Machine, Resources
from sweeps.outputs import Outputs
from sweeps.stored_outputs import StoredOutputs

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from stores import CREDENTIALS, seaweedfs
from sweep_lab import Lab

pytestmark = pytest.mark.benchmark

JOBS, JOBS_IN_A_STORE, SLOTS = 10_000, 2_000, 16


class Slots:
    """Machines that are always up to their jobs: only the driver's time is real.

    A job leaves its record when it is over. Its time, and what it takes to write the
    record, are not the driver's: the first passes at once where the driver waits.

    Args:
      job_seconds: that every job takes.

    Attributes:
      seconds: of writing records.
      took: of the last sweep, by `now`.
    """

    def __init__(self, job_seconds: float = 0.0):
        self.seconds = self.took = 0.0
        self._job_seconds, self._skipped = job_seconds, 0.0
        self._running: list[tuple[float, int, AttemptEnd]] = []
        self._number = 0

    def now(self) -> float:
        return time.perf_counter() + self._skipped - self.seconds

    def capacity(self) -> Capacity:
        return Capacity((Machine(SLOTS),))

    def has_room(self, wanted: Resources) -> bool:
        return len(self._running) < SLOTS

    def places(self, wanted: Resources) -> int:
        return 1

    def avoid(self, node: str) -> str:
        return node

    def foresee(self, waiting: Iterable[Resources]) -> None: ...

    def start(self, attempt: Attempt) -> None:
        over = self.now() + self._job_seconds
        began = time.perf_counter()
        record = Record(
            stage="train", job_id=attempt.job_id, status="ok", attempt=attempt.number
        )
        data = json_bytes(record.to_dict())
        if attempt.parcels:
            end = AttemptEnd(attempt, 0, 0.0, brought=({RECORD_FILE: data},))
        else:
            write_bytes_atomically(attempt.folder / RECORD_FILE, data)
            end = AttemptEnd(attempt, 0, 0.0)
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


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SeaweedFS, which the environment names as the S3."""
    with (
        seaweedfs(tmp_path_factory.mktemp("weed")) as endpoint,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            patch.setenv(name, value)
        yield


Open = Callable[[str, str], Outputs]


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Open]:
    """Where OUT is; and OUT of some name, as a machine of some name sees it."""
    if request.param == "disk":
        return "disk", lambda out, machine: Outputs(tmp_path / out)
    request.getfixturevalue("s3")
    url, scratch = f"s3://bucket/{tmp_path.name}", tmp_path / "scratch"
    return "s3", lambda out, machine: StoredOutputs(
        Store(f"{url}/{out}"), scratch, tmp_path / machine
    )


def run(folder: Path, outputs: Outputs, jobs: int, executor: Slots) -> SweepEnd:
    """A sweep of so many jobs, from opening OUT, as a command does it, to its end."""
    lab = Lab(folder, jobs=jobs, outputs=outputs)
    tasks, began = lab.tasks(), executor.now()
    outputs.refresh(again=False)
    end = lab.run(executor, tasks)
    executor.took = executor.now() - began
    outputs.refresh()  # as tables and report do
    assert end.counts == {"ok": jobs}
    return end


def test_driver_per_job(tmp_path: Path, place: tuple[str, Open]) -> None:
    where, out = place
    jobs, target = {"disk": (JOBS, 2), "s3": (JOBS_IN_A_STORE, 5)}[where]
    executor = Slots()
    run(tmp_path, out("jobs", "here"), jobs, executor)
    print(
        f"\ndriver, OUT on {where}: {1000 * executor.took / jobs:.2f} ms per job, of "
        f"{jobs} (target {target} ms)"
    )


def test_slots_are_busy_and_a_relaunch_is_fast(
    tmp_path: Path, place: tuple[str, Open]
) -> None:
    where, out = place
    for jobs, job_seconds, target in ((1_000, 60.0, 99), (JOBS, 1.0, 87)):
        executor = Slots(job_seconds)
        run(tmp_path, out(f"{jobs}", "here"), jobs, executor)
        busy = 100 * jobs * job_seconds / (SLOTS * executor.took)
        print(
            f"\n{jobs} jobs of {job_seconds:g} s on {SLOTS} slots, OUT on {where}: "
            f"{busy:.1f} % busy (target {target} %)"
        )
    target = {"disk": 2, "s3": 15}[where]
    for machine in ("here", "elsewhere"):
        executor = Slots()
        assert run(tmp_path, out(f"{JOBS}", machine), JOBS, executor).started == 0
        print(
            f"\nrelaunch {machine} of {JOBS} finished jobs, OUT on {where}: "
            f"{executor.took:.2f} s (target {target} s)"
        )
