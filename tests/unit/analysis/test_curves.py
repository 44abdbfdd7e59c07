from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis import baselines
from analysis.bd_rate import bd_rate
from analysis.gather import gather
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures, curve_bpp


def test_saving_against_a_codec_measured_on_the_same_images(tmp_path: Path) -> None:
    """One dB better at a rate that doubles every four saves 1 - 2^(-1/4)."""
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=1.0)
    sweep.classical("jpeg")
    tables = gather(tmp_path)
    (row,) = tables["curves"].to_dict("records")
    assert row["points"] == 5
    assert row["curve_id"] == tables["points"]["curve_id"].unique().item()
    assert (row["anchor"], row["anchor_source"]) == ("JPEG", "measured")
    assert row["interpolation"] == "pchip"
    assert row["bd_rate_percent"] == pytest.approx(-100 * (1 - 2**-0.25))
    assert (row["range_low_db"], row["range_high_db"]) == (26, 38)
    assert row["overlap_points"] == 5
    assert pd.isna(row["reason"])
    assert pd.isna(row["bd_rate_low_percent"])
    assert pd.isna(row["run_id"])  # five models of one rate each


def test_published_curves_are_anchors_on_kodak(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path, dataset="photos")
    sweep.images = tuple(f"{name}.png" for name in sorted(baselines.KODAK_IMAGES))
    write_curve(sweep)
    curves = gather(tmp_path)["curves"].set_index("anchor")
    assert set(curves.index) == set(baselines.LABELS)
    assert (curves["anchor_source"] == "published").all()
    anchor = baselines.kodak_curve("vtm-compressai")
    psnr_db = [25, 28, 31, 34, 37]
    bpp = [curve_bpp(value) for value in psnr_db]
    expected = bd_rate(anchor["bpp"], anchor["psnr_db"], bpp, psnr_db)
    found = curves["bd_rate_percent"]["vtm-compressai"]
    assert found == pytest.approx(expected)


def test_a_curve_without_a_number_says_why(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))[:1]))
    (alone,) = gather(tmp_path)["curves"].to_dict("records")
    assert alone["reason"] == "no anchor was measured on these images"
    assert pd.isna(alone["anchor"])
    assert pd.isna(alone["bd_rate_percent"])
    sweep.classical("webp")
    (few,) = gather(tmp_path)["curves"].to_dict("records")
    assert few["reason"] == "it has 1 of at least 4 points"
    assert few["anchor"] == "WebP"
    assert pd.isna(few["bd_rate_percent"])


def test_curves_that_do_not_overlap_have_a_reason(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=60.0)
    sweep.classical("jpeg")
    (row,) = gather(tmp_path)["curves"].to_dict("records")
    assert row["reason"].startswith("the curves overlap in PSNR; got 24-42 dB and")
    assert pd.isna(row["bd_rate_percent"])


def test_a_codec_measured_on_other_images_is_no_anchor(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep)
    sweep.images = sweep.images[:2]
    sweep.classical("jpeg")
    (row,) = gather(tmp_path)["curves"].to_dict("records")
    assert row["reason"] == "no anchor was measured on these images"


def test_points_over_different_images_make_no_curve(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep)
    sweep.classical("jpeg")
    sweep.images = sweep.images[:3]
    (job,) = sweep.plan(architectures((48,))[:1], lmbda=0.2)
    sweep.train(job)
    sweep.evaluate(job, psnr_db=40.0)
    (row,) = gather(tmp_path)["curves"].to_dict("records")
    assert row["points"] == 6
    assert row["reason"] == "its points are means over different images"


def test_settings_measured_later_join_a_codec_on_the_same_images_alone(
    tmp_path: Path,
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.plan(architectures((32,)))
    sweep.classical("jpeg", settings=(10.0, 20.0))
    path = sweep.classical("jpeg", settings=(20.0, 50.0))
    codecs = gather(tmp_path)["codecs"]
    assert codecs["codec_id"].nunique() == 1
    assert codecs["setting"].value_counts().to_dict() == {10: 4, 20: 4, 50: 4}
    spec = read_json(path.with_name("spec.json")) | {"data_sha256": "f" * 64}
    write_json_atomically(path.with_name("spec.json"), spec)
    path.touch()
    newest = gather(tmp_path)["codecs"]
    assert set(newest["setting"]) == {20, 50}
