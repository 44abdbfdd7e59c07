"""Trainings that share a process: grouped at each start, each with its own end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from sweep_lab import LIMITS, Silent

from launch.executors.child import ChildSettings
from launch.executors.local import LocalExecutor
from rdc.errors import ExitCode
from rdc.jobs.layout import RECORD_FILE, SPEC_FILE
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from rdc.system.files import read_json
from sweeps.driver import Driver
from sweeps.grid import Grid
from sweeps.lease import Lease
from sweeps.observer import SweepEnd
from sweeps.outputs import Outputs
from sweeps.plan import make_plan
from sweeps.task_settings import ImageSet, TaskSettings
from sweeps.tasks import Task, make_tasks

WORKER = Path(__file__).with_name("models_worker.py")
GRID = {
    "name": "rates",
    "base": {"transform": "conv", "entropy_model": "factorized"},
    "blocks": [{"product": {"train.seed": [0, 1], "train.lmbda": [0.01, 0.02, 0.03]}}],
}


def tasks(models_together: int, seeds: int = 1) -> list[Task]:
    images = ImageSet("images", "images", "00")
    settings = TaskSettings(
        stages=("train",),
        train_set=images,
        eval_set=images,
        hardware_id="here",
        benchmark=BenchmarkSpec(),
        models_together=models_together,
    )
    train = {"lmbda": 0.0125, **Recipe(steps=3).to_dict()}
    plan = make_plan(Grid.from_dict(GRID), train, "00")
    tasks = make_tasks(plan, settings)
    return [task for task in tasks if task.job.model.recipe.seed < seeds]


def run(folder: Path, tasks: list[Task], plan: dict[str, list[str]]) -> SweepEnd:
    (folder / "plan.json").write_text(json.dumps(plan))
    command = (sys.executable, str(WORKER), str(folder))
    executor = LocalExecutor(ChildSettings(command, locks=folder / "locks"))
    out = folder / "out"
    with Lease(out) as lease:
        try:
            driver = Driver(
                Outputs(out), tasks, executor, lease, limits=LIMITS, observer=Silent()
            )
            return driver.run()
        finally:
            executor.close()


def journal(folder: Path) -> list[str]:
    return sorted((folder / "journal.txt").read_text().splitlines())


def statuses(folder: Path) -> dict[float, str]:
    found = {}
    for path in (folder / "out/runs").glob(f"*/*/{RECORD_FILE}"):
        (rate,) = read_json(path.with_name(SPEC_FILE))["model"]["rates"]
        record = read_json(path)
        assert record["job_id"] == path.parent.name
        found[rate] = record["status"]
    return found


@pytest.mark.parametrize(
    ("models_together", "expected"),
    [
        (1, ["0.01:1", "0.02:1", "0.03:1"]),
        (2, ["0.01:1 0.02:1", "0.03:1"]),
        (3, ["0.01:1 0.02:1 0.03:1"]),
    ],
)
def test_models_of_one_architecture_share_a_process(
    models_together: int, expected: list[str], tmp_path: Path
) -> None:
    end = run(tmp_path, tasks(models_together), {})
    assert end.exit_code == ExitCode.OK
    assert end.counts == {"ok": 3}
    assert journal(tmp_path) == [f"{line} micro=1" for line in expected]
    assert statuses(tmp_path) == dict.fromkeys([0.01, 0.02, 0.03], "ok")


def test_models_that_differ_otherwise_do_not(tmp_path: Path) -> None:
    run(tmp_path, tasks(8, seeds=2), {})
    assert journal(tmp_path) == ["0.01:1 0.02:1 0.03:1 micro=1"] * 2


def test_a_model_that_diverges_goes_on_alone(tmp_path: Path) -> None:
    end = run(tmp_path, tasks(3), {"0.02": ["diverged", "diverged"]})
    assert end.exit_code == ExitCode.SWEEP_HAS_FAILED_RUNS
    assert journal(tmp_path) == ["0.01:1 0.02:1 0.03:1 micro=1", "0.02:2 micro=1"]
    assert statuses(tmp_path) == {0.01: "ok", 0.02: "diverged", 0.03: "ok"}


def test_models_of_a_lost_process_start_again_together(tmp_path: Path) -> None:
    end = run(tmp_path, tasks(3), {"0.03": ["killed"]})
    assert end.exit_code == ExitCode.OK
    assert journal(tmp_path) == [
        "0.01:1 0.02:1 0.03:1 micro=1",
        "0.01:2 0.02:2 0.03:2 micro=1",
    ]


def test_a_crash_of_several_models_is_one_failure(tmp_path: Path) -> None:
    """Not three jobs that fail alike, which would stop the stage."""
    end = run(tmp_path, tasks(3), {"0.03": ["crashed"]})
    assert (end.exit_code, end.counts) == (ExitCode.OK, {"ok": 3})


def test_after_an_out_of_memory_each_runs_alone(tmp_path: Path) -> None:
    end = run(tmp_path, tasks(3), {"0.01": ["oom"]})
    assert end.exit_code == ExitCode.OK
    assert journal(tmp_path) == [
        "0.01:1 0.02:1 0.03:1 micro=1",
        *(f"{rate}:2 micro=2" for rate in ("0.01", "0.02", "0.03")),
    ]


def test_finished_models_are_not_trained_again(tmp_path: Path) -> None:
    assert run(tmp_path, tasks(3), {"0.02": ["diverged"] * 2}).started == 2
    assert run(tmp_path, tasks(3), {}).started == 0
    folder = next(
        path.parent
        for path in (tmp_path / "out/runs").glob(f"*/*/{RECORD_FILE}")
        if read_json(path)["status"] == "diverged"
    )
    for name in ("record.json", "attempts/*/end.json", "attempts/*/record.json"):
        for path in folder.glob(name):
            path.unlink()
    again = run(tmp_path, tasks(3), {})
    assert (again.exit_code, again.started) == (ExitCode.OK, 1)
