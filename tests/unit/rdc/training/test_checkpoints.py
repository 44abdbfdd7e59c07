"""Checkpoints: bit-equal resumption, damage, storage that fails, when and how many."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from rdc.errors import ConfigError, ExitCode, UnreadableError
from rdc.specs.checkpoint import CheckpointSpec
from rdc.training import checkpoints, train
from rdc.training.checkpoints import CheckpointTimer
from tests.unit.rdc.training.conftest import (
    ARCHITECTURE,
    IMAGES,
    NEVER,
    RECIPE,
    saved_steps,
    trained,
    weights,
)


def cut(folder: Path) -> None:
    """All files of a checkpoint but the small ones."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 200:
            path.write_bytes(path.read_bytes()[:100])


def test_resuming_is_bit_equal(undisturbed: tuple, tmp_path: Path) -> None:
    whole, folder = undisturbed
    earlier = tmp_path / "1"
    shutil.copytree(folder / "checkpoint", earlier / "checkpoint")
    shutil.rmtree(earlier / "checkpoint/60")  # as if killed before the last step
    resumed = trained(tmp_path / "2", resume_from=[earlier])
    assert (whole.resumed_from_step, resumed.resumed_from_step) == (0, 40)
    for a, b in zip(weights(whole.model), weights(resumed.model), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("loss_first", "loss_last", "steps", "skipped_steps"):
        assert getattr(resumed.summary, name) == getattr(whole.summary, name)
    rate = 60 / resumed.summary.train_seconds
    assert resumed.summary.steps_per_second == pytest.approx(rate)


def test_a_truncated_checkpoint_falls_back_to_the_one_before(
    undisturbed: tuple, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, folder = undisturbed
    earlier = tmp_path / "1"
    shutil.copytree(folder / "checkpoint", earlier / "checkpoint")
    cut(earlier / "checkpoint/60")
    model = trained(tmp_path / "2", resume_from=[earlier])
    assert (model.resumed_from_step, model.restarted_because) == (40, None)
    assert "60 skipped" in caplog.text


def test_a_training_whose_checkpoints_are_all_damaged_says_so(
    undisturbed: tuple, tmp_path: Path
) -> None:
    whole, folder = undisturbed
    assert whole.restarted_because is None
    earlier = tmp_path / "1"
    shutil.copytree(folder / "checkpoint", earlier / "checkpoint")
    cut(earlier / "checkpoint")
    model = trained(tmp_path / "2", resume_from=[earlier])
    assert model.resumed_from_step == 0
    for step in (60, 40):
        told = f"checkpoint {step} of attempt 1: damaged: "
        assert told in model.restarted_because


def test_checkpoints_that_cannot_be_read_now_are_waited_for(
    undisturbed: tuple, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Storage that comes back: until then, a link that leads in a circle."""
    _, folder = undisturbed
    away = tmp_path / "1/checkpoint"
    away.parent.mkdir()
    away.symlink_to(away)
    there = tmp_path / "there"
    there.symlink_to(folder / "checkpoint")
    back = threading.Timer(1.5, there.replace, [away])
    back.start()
    model = trained(tmp_path / "2", resume_from=[away.parent])
    back.join()
    assert model.resumed_from_step == 60
    assert "waiting for" in caplog.text


def test_storage_that_does_not_come_back_starts_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "READ_WAIT_SECONDS", 0.1)
    away = tmp_path / "1/checkpoint"
    away.parent.mkdir()
    away.symlink_to(away)
    with pytest.raises(UnreadableError) as raised:
        trained(tmp_path / "2", resume_from=[away.parent])
    assert raised.value.exit_code == ExitCode.PREEMPTED


def test_checkpoints_by_step(tmp_path: Path) -> None:
    """At the multiples asked for and at the end, and only the newest stay."""
    for keep, left in ((2, [40, 60]), (1, [60])):
        folder = tmp_path / str(keep)
        spec = CheckpointSpec(every_seconds=None, every_steps=40, keep=keep)
        trained(folder, checkpoint=spec)
        assert saved_steps(folder) == left


def test_the_weights_of_a_finished_model_have_a_known_type() -> None:
    with pytest.raises(ConfigError, match="model_dtype is one of float32, bfloat16"):
        CheckpointSpec(model_dtype="float16")


def test_checkpoints_by_time_take_two_per_cent_of_it() -> None:
    times = iter([0, 59, 60, 70, 70 + 60, 70 + 499, 70 + 500])
    timer = CheckpointTimer(CheckpointSpec(every_seconds=60), lambda: next(times))
    assert [timer.due(20), timer.due(40)] == [False, True]
    timer.saved(10)  # slow: 10 s of 500
    assert [timer.due(60), timer.due(80), timer.due(100)] == [False, False, True]


def test_checkpoints_of_another_model_are_not_taken(
    undisturbed: tuple, tmp_path: Path
) -> None:
    settings = {"checkpoint": NEVER, "resume_from": [undisturbed[1]]}
    other = train(ARCHITECTURE, RECIPE, (0.02,), IMAGES, tmp_path, **settings)
    assert other.resumed_from_step == 0


def test_checkpoints_of_other_numerics_are_not_taken(
    undisturbed: tuple,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Their weights mean something else, even under an equal id."""
    version = checkpoints.NUMERICS_VERSION
    monkeypatch.setattr(checkpoints, "NUMERICS_VERSION", version + 1)
    assert trained(tmp_path, resume_from=[undisturbed[1]]).resumed_from_step == 0
    assert f"'numerics_version': {version}}}, this training of" in caplog.text
