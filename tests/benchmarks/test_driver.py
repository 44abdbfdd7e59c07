"""What the driver of a sweep costs per job, on a disk and over S3; how busy it keeps
slots, and to find ten thousand jobs finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rdc.system.store import Store
from sweeps.observer import SweepEnd
from sweeps.outputs import Outputs
from sweeps.stored_outputs import StoredOutputs
from tests.simulated_slots import SLOTS, Slots

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from stores import CREDENTIALS, seaweedfs
from sweep_lab import Lab

pytestmark = pytest.mark.benchmark

JOBS, JOBS_IN_A_STORE = 10_000, 2_000


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
