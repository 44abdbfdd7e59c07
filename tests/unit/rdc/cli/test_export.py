"""`rdc export`: from a training to a folder that codes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdc.cli import main
from rdc.codec import LearnedCodec
from rdc.codec.exported import load_exported
from rdc.jobs.job import EvaluateJob, Request, TrainJob
from rdc.jobs.layout import MODEL_FOLDER, RECORD_FILE, SPEC_FILE, attempt_folder
from rdc.jobs.records import Record
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.system.files import read_json, write_json_atomically
from tests.architectures import ALL
from tests.conftest import REPOSITORY

JOB = TrainJob(
    model=ModelSpec(
        architecture=ALL["conv-mean_scale_hyperprior-conv"],
        recipe=Recipe(steps=4, batch_size=1, crop_px=64, warmup_steps=1),
        rates=(0.02,),
        data_sha256="bundled",
    )
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real training of a few steps, its second attempt promoted."""
    folder = JOB.folder(tmp_path_factory.mktemp("out"))
    attempt = attempt_folder(folder, 2)
    attempt.mkdir(parents=True)
    write_json_atomically(folder / SPEC_FILE, JOB.to_dict())
    request = Request(images="bundled:train")
    write_json_atomically(attempt / "request.json", request.to_dict())
    command = [sys.executable, "-m", "rdc.jobs.worker", str(attempt)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    shutil.copy(attempt / RECORD_FILE, folder / RECORD_FILE)
    return folder


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(finished, tmp_path / "run")


def change_record(run_dir: Path, **changes: object) -> None:
    path = run_dir / RECORD_FILE
    record = Record.from_dict(read_json(path), "record")
    write_json_atomically(path, replace(record, **changes).to_dict())


@pytest.mark.parametrize("weights", [None, "bfloat16", "float32"])
def test_exported_models_code_and_carry_their_record(
    finished, tmp_path, weights, capsys
):
    folder = tmp_path / "models" / "mine"
    options = [] if weights is None else ["--weights", weights]
    assert main(["export", str(finished), str(folder), *options]) == 0
    exported = load_exported(folder)
    out = capsys.readouterr().out
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert f"{size / 1e6:.2f} MB" in out
    assert exported.identity in out
    stored = read_json(folder / "spec.json")["weights_dtype"]
    assert stored == (weights or "bfloat16")
    record = read_json(finished / "record.json")
    assert exported.provenance == {
        "run_id": JOB.job_id,
        "job": JOB.to_dict(),
        "record": record,
    }
    assert record["result"]["summary"]["loss_last"] > 0
    assert [point.lmbda for point in exported.operating_points] == [0.02]
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]

    codec = LearnedCodec.load(folder)
    x = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert codec.decompress(codec.compress(x)).shape == x.shape


def test_float32_is_the_model_of_the_training(finished, tmp_path):
    folder = tmp_path / "model"
    assert main(["export", str(finished), str(folder), "--weights", "float32"]) == 0
    trained = load_exported(attempt_folder(finished, 2) / MODEL_FOLDER)
    assert load_exported(folder).identity == trained.identity


def test_a_model_is_replaced_and_anything_else_is_kept(run_dir, tmp_path, capsys):
    folder = tmp_path / "model"
    folder.mkdir()  # empty
    arguments = ["export", str(run_dir), str(folder)]
    assert main([*arguments, "--weights", "float32"]) == 0
    before = load_exported(folder).identity
    assert main(arguments) == 0
    assert load_exported(folder).identity != before
    (folder / "diary.txt").write_text("dear diary")
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    assert main(arguments) == 2
    assert "holds something else" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.iterdir()} == kept
    file = tmp_path / "file"
    file.write_text("x")
    assert main(["export", str(run_dir), str(file)]) == 2
    assert file.read_text() == "x"


@pytest.mark.parametrize("status", ["failed", "diverged", "oom", "preempted"])
def test_runs_without_a_model_are_named(run_dir, tmp_path, status, capsys):
    change_record(run_dir, status=status, error="for a reason", result={})
    assert main(["export", str(run_dir), str(tmp_path / "model")]) == 2
    err = capsys.readouterr().err
    assert f"{status}: for a reason" in err
    assert not (tmp_path / "model").exists()


def test_an_unfinished_run(run_dir, tmp_path, capsys):
    (run_dir / "record.json").unlink()
    assert main(["export", str(run_dir), str(tmp_path / "model")]) == 2
    assert "pending or running" in capsys.readouterr().err


def test_folders_that_are_no_run(run_dir, tmp_path, capsys):
    evaluation = EvaluateJob(run_id="0", dataset="d", data_sha256="0")
    other = tmp_path / "evaluation"
    write_json_atomically(other / "spec.json", evaluation.to_dict())
    for folder, message in (
        (tmp_path / "nothing", "without spec.json"),
        (run_dir / "attempts/2", "without spec.json"),
        (run_dir / "record.json", "without spec.json"),
        (run_dir / "attempts/2/model", "of stage None"),
        (other, "of stage evaluate"),
    ):
        assert main(["export", str(folder), str(tmp_path / "model")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_run_of_an_earlier_version_is_refused_in_words(run_dir, tmp_path, capsys):
    job = read_json(run_dir / SPEC_FILE)
    model = job.pop("model")
    earlier = {"train": {"lmbda": 0.02}, "architecture": model["architecture"]}
    write_json_atomically(run_dir / SPEC_FILE, {**job, **earlier})
    assert main(["export", str(run_dir), str(tmp_path / "model")]) == 2
    assert "another version" in capsys.readouterr().err


def test_damaged_runs_leave_nothing_behind(run_dir, tmp_path, capsys):
    weights = run_dir / "attempts/2/model/weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1])
    target = tmp_path / "models" / "mine"
    assert main(["export", str(run_dir), str(target)]) == 2
    assert "checksum" in capsys.readouterr().err
    shutil.rmtree(weights.parent)
    assert main(["export", str(run_dir), str(target)]) == 2
    assert main(["export", str(run_dir), str(target), "--weights", "int8"]) == 2
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_a_failed_export_keeps_the_model_that_was_there(run_dir, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    arguments = ["export", str(run_dir), str(folder)]
    assert main(arguments) == 0
    kept = {path: path.read_bytes() for path in folder.iterdir()}

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    assert main([*arguments, "--weights", "float32"]) == 130
    assert {path: path.read_bytes() for path in folder.iterdir()} == kept
    assert {path.name for path in tmp_path.iterdir()} == {"run", "model"}
