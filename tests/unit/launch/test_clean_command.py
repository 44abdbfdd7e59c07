"""`launch/clean.py`: what may go is told first, and only that goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.commands.clean import CLEAN_APP
from launch.config.app import run_app
from rdc.jobs.records import Record
from rdc.system.files import write_json_atomically
from sweeps.lease import Lease
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures


def checkpoint(job: Path, attempt: int, step: int) -> Path:
    folder = job / f"attempts/{attempt}/checkpoint/{step}"
    folder.mkdir(parents=True)
    (folder / "state").write_bytes(b"x" * 1000)
    return folder


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, Path]:
    """A finished training of two attempts, and one on its way in its third."""
    sweep = SweepOutput(tmp_path)
    first, second = sweep.plan(architectures((20,))[:2])
    done, running = first.folder(tmp_path), second.folder(tmp_path)
    for attempt in (1, 2):
        model = done / f"attempts/{attempt}/model"
        model.mkdir(parents=True)
        (model / "weights").write_bytes(b"x" * 100)
        checkpoint(done, attempt, 20 * attempt)
    record = Record(stage="train", job_id=first.job_id, status="ok", attempt=2)
    write_json_atomically(done / "record.json", record.to_dict())
    for attempt in (1, 2, 3):
        checkpoint(running, attempt, 20 * attempt)
    return {"done": done, "running": running}


def left(jobs: dict[str, Path]) -> dict[str, list[str]]:
    return {
        name: sorted(
            str(path.relative_to(folder / "attempts"))
            for path in [
                *folder.glob("attempts/*/checkpoint/*"),
                *folder.glob("attempts/*/model"),
            ]
        )
        for name, folder in jobs.items()
    }


def test_nothing_goes_before_it_is_asked_for(jobs, tmp_path, capsys) -> None:
    before = left(jobs)
    assert run_app(CLEAN_APP, [f"out={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "checkpoints of finished jobs" in told
    assert "2.0 kB" in told
    assert "superseded checkpoints" in told
    assert "models of attempts that do not count" in told
    assert left(jobs) == before


def test_what_no_later_work_needs_goes(jobs, tmp_path, capsys) -> None:
    assert run_app(CLEAN_APP, [f"out={tmp_path}", "apply=true"]) == 0
    assert left(jobs) == {
        "done": ["2/model"],
        "running": ["2/checkpoint/40", "3/checkpoint/60"],
    }
    assert run_app(CLEAN_APP, [f"out={tmp_path}", "apply=true"]) == 0
    assert "nothing to free" in capsys.readouterr().out


def test_the_last_of_a_finished_training_may_stay(jobs, tmp_path) -> None:
    options = [f"out={tmp_path}", "apply=true", "keep_finished=1", "keep=1"]
    assert run_app(CLEAN_APP, options) == 0
    assert left(jobs) == {
        "done": ["2/checkpoint/40", "2/model"],
        "running": ["3/checkpoint/60"],
    }


def test_a_driver_at_work_is_not_disturbed(jobs, tmp_path, capsys) -> None:
    before = left(jobs)
    with Lease(tmp_path):
        assert run_app(CLEAN_APP, [f"out={tmp_path}", "apply=true"]) == 2
    assert "one driver at a time" in capsys.readouterr().err
    assert left(jobs) == before


def test_other_folders_and_no_checkpoints_are_refused(tmp_path, capsys) -> None:
    assert run_app(CLEAN_APP, [f"out={tmp_path}"]) == 2
    assert "out is the folder of a sweep" in capsys.readouterr().err
    assert run_app(CLEAN_APP, [f"out={tmp_path}", "keep=0"]) == 2
    assert "checkpoint.keep is at least 1" in capsys.readouterr().err
