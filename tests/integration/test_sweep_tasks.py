"""A sweep of split methods: a teacher, stopped in a student, resumed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rdc.cli import main as rdc
from rdc.errors import ExitCode
from rdc.system.files import read_json
from tests.integration.whole_sweep import TIMEOUT_SECONDS, command, completed, started
from tests.unit.rdc.tasks.pictures import write_voc

pytestmark = pytest.mark.timeout(2 * TIMEOUT_SECONDS)
NETWORKS = (
    "{encoder_channels: [4, 4], latent_channels: 3, decoder_channels: [8, 4], "
    "feature_channels: 4}"
)
STUDENTS = "splits/*/*/attempts"
RECIPE = "{epochs: %d, batch: 4, crop_px: 32}"
METHODS = (
    "split.methods=[{base: {name: input, codec: jpeg, rate: 5}}, "
    f"{{base: {{name: student, beta: 1, networks: {NETWORKS}, "
    f"distillation: {RECIPE % 160}, fine_tuning: {RECIPE % 4}}}}}]"
)


def labelled(root: Path, each: int) -> Path:
    """Reddish and bluish noise."""
    random = np.random.default_rng(each)
    for name, tint in (("blue", (0, 0, 90)), ("red", (90, 0, 0))):
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels = random.integers(0, 120, (40, 44, 3)) + tint
            Image.fromarray(pixels.astype("u1")).save(root / name / f"{i}.png")
    return root


def segmented_behind_the_students_of(out: Path, folder: Path) -> None:
    """Another task on the same encoder: what it sends is what the first one sends."""
    voc, other = folder / "voc", folder / "segmented"
    write_voc(voc, 6)
    (voc / "ImageSets/Segmentation/val.txt").write_text("4\n5\n")
    methods = METHODS.replace(RECIPE % 160, RECIPE % 2)
    arguments = command(
        *("+grid=sc2_full", "split=sc2_voc", f"split.photographs={voc}"),
        *("split.annotations=train", "split.test_annotations=val", methods),
        *("split.answered_px=32", f"split.encoders={out}", "launcher=local"),
        *("split.teacher.blocks=[1,1,1,1]", "split.teacher.bottleneck=false"),
        *("split.teacher.widths=[4,4,4,8]", "split.teacher.head_channels=4"),
        *(f"split.teacher.recipe={RECIPE % 1}", "codecs=[]", f"out={other}"),
        "stages=[plan,train,evaluate,gather]",
    )
    completed(arguments, folder)
    results = pd.read_parquet(other / "tables/task_results.parquet")
    assert {*results["method"]} == {"jpeg", "local", "remote", "student"}
    assert {*results["dataset"]} == {"voc val"}
    assert results["metric"].between(0, 1).all()
    assert results["se"].isna().all()
    answers = pd.read_parquet(other / "tables/task_answers.parquet")
    assert {*answers["photograph"]} == {"4", "5"}
    assert answers["agreement"].between(0, 1).all()
    first, second = (
        [read_json(path)["result"] for path in at.glob("splits/*/*/record.json")]
        for at in (out, other)
    )
    (one,), (two,) = (
        [each["method_id"] for each in all_of if each["method"] == "student"]
        for all_of in (first, second)
    )
    assert one == two


def test_methods_of_a_task_are_trained_resumed_and_measured(tmp_path: Path) -> None:
    """On photographs that nothing learned from; folds are planned in
    `tests/unit/launch/test_tasks_data.py` and joined in `test_tasks.py` of analysis.
    """
    out, asked = tmp_path / "out", labelled(tmp_path / "asked", 3)
    learned = labelled(tmp_path / "learned", 2)
    arguments = command(
        *("+grid=sc2_mini", f"split.photographs={learned}", f"split.test={asked}"),
        *("split.seeds=[0]", METHODS, "launcher=local", "codecs=[]", f"out={out}"),
        "split.teacher.widths=[4,4,4,8]",
        f"split.teacher.recipe={RECIPE % 8}",
        "stages=[plan,train,evaluate,gather]",
    )
    sweep = started(arguments, tmp_path)
    try:
        while not (saved := [*out.glob(f"{STUDENTS}/1/checkpoint/stage_one/200")]):
            assert sweep.poll() is None
            time.sleep(0.1)
    finally:
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
    completed(arguments, tmp_path)
    log = (saved[0].parents[3] / "2/log.txt").read_text()
    assert "step 400 of" in log
    assert "step 200 of" not in log

    answers = pd.read_parquet(out / "tables/task_answers.parquet")
    names = {f"{name}/{i}.png" for name in ("blue", "red") for i in range(3)}
    for _, rows in answers.groupby(["method", "setting"]):
        assert sorted(rows["photograph"]) == sorted(names)  # each once
    results = pd.read_parquet(out / "tables/task_results.parquet").set_index("method")
    assert list(results.index) == ["jpeg", "local", "remote", "student"]
    assert (results["image_count"] == len(names)).all()
    files = [path.stat().st_size for path in asked.glob("*/*.png")]
    assert results.loc["remote", "bytes_per_datum"] == np.mean(files)
    student = results.loc["student"]
    assert abs(student["coded_over_estimated"]) < 0.05  # of some ten bytes' payload
    assert student["exr"] == student["encoder_bits"] * student["bytes_per_datum"]
    for job in out.glob("splits/*/*"):
        spec, record = read_json(job / "spec.json"), read_json(job / "record.json")
        assert spec["method"]["name"] in ("input", "student")
        assert record["status"] == "ok"

    segmented_behind_the_students_of(out, tmp_path)

    attacked = tmp_path / "attacked.csv"
    options = ("--sweep", str(out), "--codec", "--count", "1", "--steps", "2")
    assert rdc(["inflate", str(asked), str(attacked), *options]) == 0
    rows = pd.read_csv(attacked)
    assert {*rows["target"]} == {"student"}
    assert {*rows["attack"]} == {"gradient", "noise"}
    own = answers[(answers["method"] == "student")].set_index("photograph")
    before = own.loc[rows["photograph"].unique().item()]
    assert (rows["bytes_before"] == before["bytes"]).all()
    assert (rows["right_before"] == (before["answer"] == before["label"])).all()
    content = attacked.read_bytes()
    assert rdc(["inflate", str(asked), str(attacked), *options]) == 0
    assert attacked.read_bytes() == content
    wrong = ["inflate", str(learned), str(attacked), *options]
    assert rdc(wrong) == ExitCode.BAD_INPUT
