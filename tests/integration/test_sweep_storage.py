"""The driver on storage that is full, fails for a moment, or gives damaged records."""

import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_lab import Lab, run

from rdc.errors import ExitCode
from rdc.jobs.records import Record
from rdc.system.files import read_json
from sweeps import patience

HANG_SECONDS = 300  # far beyond what any machine needs


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab")


def test_disk_full_pauses_and_burns_no_retries(lab):
    lab.faults({"train": ["full", "full", "full"]})
    for _ in range(3):
        end = run(lab)
        assert end.exit_code == ExitCode.DISK_FULL
        assert "Free some space and run the same command" in end.message
    assert lab.records() == []
    lab.faults({})
    assert run(lab).exit_code == ExitCode.OK


def mended(lab: Lab) -> None:
    """Once a worker broke the storage: a link that leads in a circle."""
    deadline = time.monotonic() + HANG_SECONDS
    while not (lab.out / "runs").is_symlink():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(1.0)
    (lab.out / "runs").unlink()
    (lab.out / "away").rename(lab.out / "runs")


def test_storage_that_fails_for_a_moment_costs_nothing(tmp_path):
    lab = Lab(tmp_path / "lab", jobs=1)
    lab.faults({"train:0": ["storage_fails"]})
    mending = threading.Thread(target=mended, args=[lab])
    mending.start()
    end = run(lab)
    mending.join()
    assert (end.exit_code, end.started) == (ExitCode.OK, 1)


def test_storage_that_stays_away_pauses_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", (0.1,))
    lab = Lab(tmp_path / "lab", jobs=1)
    lab.faults({"train:0": ["storage_fails"]})
    end = run(lab)
    assert end.exit_code == ExitCode.DISK_FULL
    assert "paused: storage reads and writes" in end.message
    mended(lab)
    again = run(lab)
    assert (again.exit_code, again.started) == (ExitCode.OK, 0)


def test_a_full_disk_under_the_driver_pauses_it(lab, tmp_path):
    """OUT lies on a real file system of 2 MiB, in a mount of the test's own."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from launch.executors.local import LocalExecutor
from sweep_lab import Lab
lab = Lab(Path({str(lab.folder)!r}), jobs=40, steps=1)
end = lab.run(LocalExecutor(lab.settings), lab.tasks())
print(int(end.exit_code), end.message)
for big in lab.out.glob("ballast"):
    big.unlink()
end = lab.run(LocalExecutor(lab.settings), lab.tasks())
print(int(end.exit_code), end.message, dict(end.counts))
"""
    lab.out.mkdir()
    mount = f"mount -t tmpfs -o size=2m none {lab.out} && "
    fill = f"head -c 1500000 /dev/zero > {lab.out}/ballast && "
    in_shell = ["unshare", "-rm", "sh", "-c", mount + fill + 'exec "$0" -c "$1"']
    done = subprocess.run(
        [*in_shell, sys.executable, script],
        capture_output=True,
        text=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("12 paused: outputs need free disk space"), done.stderr
    assert second.startswith("0 complete"), done.stderr


def test_a_damaged_record_is_set_aside_and_won_back(lab):
    run(lab)
    path = next((lab.out / "runs").glob("*/*/record.json"))
    data = path.read_bytes()
    whole = Record.from_dict(read_json(path))
    path.write_bytes(data[: len(data) // 2])
    end = run(lab)
    assert (end.exit_code, end.started) == (ExitCode.OK, 0)
    assert Record.from_dict(read_json(path)) == replace(whole, epoch=2)
    assert path.with_name("record.1.damaged.json").exists()


def test_a_record_damaged_beyond_its_attempt_is_computed_again(lab):
    run(lab)
    path = next((lab.out / "runs").glob("*/*/record.json"))
    path.write_bytes(b"")
    (path.parent / "attempts" / "1" / "record.json").write_bytes(b"{")
    end = run(lab)
    assert (end.exit_code, end.started) == (ExitCode.OK, 1)


def test_a_missing_model_is_trained_again_only_where_needed(lab):
    run(lab)
    for model in (lab.out / "runs").glob("*/*/attempts/1/model"):
        shutil.rmtree(model)
    assert run(lab).started == 0
    end = run(lab, ("train", "evaluate"))
    assert (end.exit_code, end.started) == (ExitCode.OK, 4)


def test_measurements_of_another_model_than_the_run_has_now_are_outdated(lab):
    stages = ("train", "evaluate")
    assert run(lab, stages).started == 4
    shutil.rmtree(lab.out / "runs")
    assert run(lab, stages).started == 2, "equal weights: their measurements stay"
    (lab.folder / "weights").write_text("others")
    shutil.rmtree(lab.out / "runs")
    assert run(lab, stages).started == 4
    measured = {record.result["model_id"] for record in lab.records("evaluations")}
    assert measured == {"others"}


def test_what_was_outdated_while_no_driver_looked_is_found(lab):
    assert run(lab, ("train", "evaluate")).started == 4
    (lab.folder / "weights").write_text("others")
    shutil.rmtree(lab.out / "runs")
    assert run(lab, ("train",)).started == 2
    end = run(lab, ("train", "evaluate"))
    assert (end.exit_code, end.started) == (ExitCode.OK, 2)
    assert run(lab, ("train", "evaluate")).started == 0
