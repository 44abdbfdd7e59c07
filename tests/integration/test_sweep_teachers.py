"""Trainings that start from trainings of the same sweep, and from a model's folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml
from whole_sweep import command, completed

from launch.commands.train import with_teacher
from rdc.codec import LearnedCodec
from rdc.codec.model_folders import trained_as
from sweeps.plan_file import read_plan
from tests.integration.test_train_rates import train

WIDE = {"transform.channels": [6, 6, 6]}
NARROW = {"transform.channels": [4, 4, 4]}
GRID = {
    "defaults": [{"override /train@_global_.train": "smoke"}],
    "name": "teachers",
    "base": {
        "transform": "conv",
        "transform.latent_channels": 8,
        "entropy_model": "factorized",
        "train.steps": 40,
    },
    "blocks": [
        {"base": WIDE},
        {
            "base": {
                **NARROW,
                "train.method": "mask_decay",
                "train.decay_share": 0.75,
                "train.decay_rate": 0.5,
                "train.teacher": {**WIDE, "train.method": "plain"},
            }
        },
    ],
}


def test_a_student_waits_for_its_teacher(tmp_path: Path) -> None:
    grids = tmp_path / "own" / "grid"
    grids.mkdir(parents=True)
    (grids / "teachers.yaml").write_text(yaml.safe_dump(GRID))
    out = tmp_path / "out"
    stages = "stages=[plan,train,gather]"
    options = ["+grid=teachers", "launcher=local", stages, f"out={out}"]
    said = completed(command("--config-dir", str(grids.parent), *options), tmp_path)
    runs = pd.read_parquet(out / "tables/runs.parquet").set_index("init_from")
    assert list(runs["status"]) == ["ok", "ok"]
    (teacher, student) = (row.run_id for row in read_plan(out))
    assert runs.loc[teacher, "run_id"] == student
    assert said.index("done train") < said.rindex("started train")
    (model,) = out.glob(f"runs/*/{student}/attempts/1/model")
    assert LearnedCodec.load(model).model.spec.transform.channels == (4, 4, 4)
    # From its folder, or by how its run_id begins, it is a teacher again.
    for name in (str(model), student[:8]):
        told, folders = with_teacher(out, {"teacher": name})
        assert told["teacher"] == student == trained_as(model)
        assert Path(folders[student]) == model.resolve()
    narrow = ("transform.channels=[4,4,4]", "transform.latent_channels=8")
    printed = train(tmp_path / "tuned", "0.0125", *narrow, f"train.teacher={model}")
    assert printed.count("model: ") == 1
    (row,) = read_plan(tmp_path / "tuned")
    assert row.init_from == student
