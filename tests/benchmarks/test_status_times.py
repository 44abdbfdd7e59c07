"""What it costs to tell and to see how a sweep of ten thousand jobs stands."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdc.jobs.layout import STATUS_FILE
from rdc.system.files import json_bytes
from rdc.system.store import Store
from sweeps.lease import this_process
from sweeps.outputs import Outputs
from sweeps.plan import Plan, Run
from sweeps.plan_file import write_plan
from sweeps.reporter import first_status
from tests.conftest import REPOSITORY
from tests.simulated_sweeps import Simulation, tasks_of

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from stores import CREDENTIALS, seaweedfs

pytestmark = pytest.mark.benchmark

JOBS = 10_000


def seconds_of(out: object) -> tuple[float, float]:
    """Of the processors, and of the clock, that `launch/status.py` takes."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "launch/status.py", f"out={out}"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - began


def test_status_of_ten_thousand_jobs(tmp_path: Path) -> None:
    tasks = tasks_of(JOBS)
    simulation = Simulation(Outputs(tmp_path / "out"), tasks)
    simulation.run({task.job_id: 60.0 for task in tasks}, look_every=JOBS // 10)
    print(f"\na status of {JOBS} jobs: {1000 * max(simulation.took):.0f} ms at most")
    used, clock = seconds_of(tmp_path / "out")
    print(
        f"status.py, {JOBS} jobs on disk: {used:.2f} s of a core (target 1 s), "
        f"{clock:.2f} s"
    )
    (tmp_path / "out" / STATUS_FILE).unlink()
    runs = tuple(Run(task.job, None) for task in tasks)
    write_plan(tmp_path / "out", Plan("simulated", runs, 0, 0, 0))
    used, clock = seconds_of(tmp_path / "out")
    print(f"the same from {JOBS} records: {used:.2f} s of a core, {clock:.2f} s")


def test_status_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file, whatever the number of jobs."""
    with seaweedfs(tmp_path) as endpoint:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        url = "s3://bucket/status"
        status = first_status(Outputs(tmp_path / "none"), "simulated", this_process())
        Store(url).write(STATUS_FILE, json_bytes(status.to_dict()))
        used, clock = seconds_of(url)
    print(f"\nstatus.py, OUT on S3: {used:.2f} s of a core, {clock:.2f} s (target 5 s)")
