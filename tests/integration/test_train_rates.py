"""`launch/train.py` with several rates: one process, a run per rate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launch.commands.train import recipes
from rdc.errors import ConfigError
from rdc.specs.training import TrainSpec
from rdc.system.files import read_json
from tests.conftest import REPOSITORY


def train(out: Path, lmbda: str) -> str:
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
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_rate_is_a_run_of_its_own(tmp_path: Path) -> None:
    printed = train(tmp_path, "[0.01,0.02]")
    assert printed.count("model: ") == 2
    records = {}
    for path in (tmp_path / "runs").glob("*/*/record.json"):
        spec, record = (read_json(path.with_name(n)) for n in ("spec.json", path.name))
        records[spec["train"]["lmbda"]] = record
        assert record["status"] == "ok"
        assert record["result"]["rates_together"] == 2
        assert (path.parent / "attempts/1/model/spec.json").is_file()
        assert len(list((path.parent / "attempts/1/checkpoint").iterdir())) == 1
    assert sorted(records) == [0.01, 0.02]
    assert records[0.01]["result"]["loss_last"] < records[0.02]["result"]["loss_last"]
    assert "started train" in printed
    assert "started train" not in train(tmp_path, "0.02")  # it is the same run


def test_recipes() -> None:
    train = TrainSpec().to_dict()
    assert [r.lmbda for r in recipes({**train, "lmbda": [0.02, 0.01]})] == [0.02, 0.01]
    assert recipes(train) == [TrainSpec()]
    for lmbda, message in (
        ([], "a list of different ones"),
        ([0.01, 0.01], "a list of different ones"),
        ([0.01, -0.02], r"train\.lmbda is positive; got -0.02"),
        (["much"], r"train\.lmbda"),
    ):
        with pytest.raises(ConfigError, match=message):
            recipes({**train, "lmbda": lmbda})
