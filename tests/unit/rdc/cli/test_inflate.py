"""`rdc inflate`: codecs attacked in real files; students: `test_sweep_tasks.py`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rdc.cli import main
from rdc.errors import ExitCode


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photographs")
    rows, columns = np.mgrid[:32, :40]
    for i in range(4):
        (root / "ab"[i % 2]).mkdir(exist_ok=True)
        pixels = np.stack([rows * (i + 3), columns * 5, rows + columns], -1)
        Image.fromarray(pixels.astype("u1")).save(root / "ab"[i % 2] / f"{i}.png")
    return root


def test_codecs_are_attacked_and_what_is_there_is_kept(
    photographs: Path, small_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "attacks.csv"

    def attacked(*codecs: str) -> pd.DataFrame:
        options = ("--codec", *codecs, "--count", "2", "--steps", "3")
        assert main(["inflate", str(photographs), str(file), *options]) == 0
        return pd.read_csv(file)

    both = attacked("jpeg:20", f"{small_model_dir}:0")
    learned = both["target"].iloc[0]
    assert both.groupby(["target", "attack"]).size().to_dict() == {
        (learned, "gradient"): 6,
        (learned, "noise"): 6,
        ("jpeg", f"through {learned} rate=0"): 6,
        ("jpeg", "noise"): 6,
    }
    own = both[both["attack"] == "gradient"].groupby("eps_255")[["bytes_after"]].mean()
    assert own["bytes_after"].is_monotonic_increasing
    for name, size in both[both["target"] == "jpeg"][
        ["photograph", "bytes_before"]
    ].itertuples(index=False):
        as_file = io.BytesIO()
        settings = {"quality": 20, "optimize": True, "subsampling": "4:2:0"}
        Image.open(photographs / name).save(as_file, "jpeg", **settings)
        assert size == len(as_file.getvalue())

    written = file.read_bytes()
    attacked(f"{small_model_dir}:0", "jpeg:20")
    assert file.read_bytes() == written
    alone = attacked("jpeg:20")  # now without a codec to be attacked through
    assert {*alone[alone["target"] == "jpeg"]["attack"]} == {"noise"}
    pd.testing.assert_frame_equal(
        alone[alone["target"] == learned], both[both["target"] == learned]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codec", "jpeg"], "NAME:RATE, as light:0 or jpeg:20; got jpeg"),
        (["--codec", "lite:0"], "a model is one of"),
        (["--codec", "jpeg:0.5"], "whole"),
        (["--codec"], "one codec or a sweep"),
        (["--count", "0"], "--count is one or more"),
        (["--codec", "light:0", "--steps", "0"], "one step or more"),
        (["--codec", "--sweep", "nowhere"], "none in nowhere"),
        (["--codec", "jpeg:5"], "that `rdc inflate` wrote"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str],
    message: str,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n")
    arguments = ["inflate", str(photographs), str(other), *options]
    assert main(arguments) == ExitCode.BAD_INPUT
    assert message in capsys.readouterr().err
