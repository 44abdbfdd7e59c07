"""`launch/train.py` with several values of lambda: one model, or one for each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launch.commands.train import models
from rdc.codec import LearnedCodec
from rdc.errors import ConfigError
from rdc.jobs.layout import RECORD_FILE, SPEC_FILE
from rdc.jobs.records import TrainResult
from rdc.specs.recipe import Recipe
from rdc.system.files import read_json
from tests.architectures import ALL
from tests.conftest import REPOSITORY


def train(out: Path, lmbda: str, *more: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            str(REPOSITORY / "launch/train.py"),
            "transform=conv",
            "transform.channels=[8,8,8]",
            "transform.latent_channels=16",
            "entropy_model=factorized",
            "train=smoke",
            f"train.lmbda={lmbda}",
            "evaluate=false",
            f"out={out}",
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_value_is_a_model_of_its_own(tmp_path: Path) -> None:
    printed = train(tmp_path, "[0.01,0.02]", "one_model_per_rate=true")
    assert printed.count("model: ") == 2
    losses = {}
    for path in (tmp_path / "runs").glob(f"*/*/{RECORD_FILE}"):
        spec, record = read_json(path.with_name(SPEC_FILE)), read_json(path)
        assert record["status"] == "ok"
        result = TrainResult.from_dict(record["result"])
        assert result.summary.models_together == 2
        attempt = path.parent / "attempts/1"
        assert (attempt / result.model_dir / "spec.json").is_file()
        assert list((attempt / "checkpoint").iterdir()) == []  # it is finished
        (rate,) = spec["model"]["rates"]
        losses[rate] = result.summary.loss_last
    assert sorted(losses) == [0.01, 0.02]
    assert losses[0.01] < losses[0.02]
    assert "started train" in printed
    assert "started train" not in train(tmp_path, "0.02")  # it is the same model


def test_several_values_are_one_model_that_codes_at_all(tmp_path: Path) -> None:
    assert train(tmp_path, "[0.01,0.02]").count("model: ") == 1
    (folder,) = tmp_path.glob("runs/*/*/attempts/1/model")
    codec = LearnedCodec.load(folder)
    assert [point.lmbda for point in codec.operating_points] == [0.01, 0.02]
    x = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for quality in (1, 1.5, 2):
        assert codec.decompress(codec.compress(x, quality)).shape == x.shape


def test_models_of_a_configuration() -> None:
    architecture = ALL["conv-factorized-None"]
    recipe = Recipe(steps=9)

    def rates(lmbda: object, one_per_rate: bool = True) -> list[tuple[float, ...]]:
        values = {**recipe.to_dict(), "lmbda": lmbda}
        found = models(architecture, values, "00", one_per_rate)
        assert {model.recipe for model in found} == {recipe}
        return [model.rates for model in found]

    assert rates([0.01, 0.02]) == [(0.01,), (0.02,)]
    assert rates([0.01, 0.02], one_per_rate=False) == [(0.01, 0.02)]
    assert rates(0.02) == [(0.02,)]
    for lmbda, message in (
        ([], "different positive numbers"),
        ([0.01, 0.01], "different positive numbers"),
        ([0.02, 0.01], "ascending"),
        ([-0.02, 0.01], r"positive numbers, ascending; got \(-0.02, 0.01\)"),
        (["much"], r"train\.lmbda"),
    ):
        with pytest.raises(ConfigError, match=message):
            rates(lmbda)
