from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import baselines, reference_points
from analysis.gather import gather
from analysis.reference_points import (
    LMBDA,
    ReferencePoint,
    chosen,
    claimed_savings,
    claims,
    table,
)
from analysis.report.data import ReportData
from analysis.report.figures import frontier_figure, published_figure
from analysis.report.payload import payload
from rdc.errors import ConfigError, DataError
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures

POINTS = {point.codec: point for point in reference_points.reference_points()}


def changed(codec: str, **values: object) -> ReferencePoint:
    return replace(POINTS[codec], **values)


def test_every_point_has_its_source_and_every_curve_is_there() -> None:
    assert len(POINTS) == len(reference_points.reference_points()) >= 19
    for point in POINTS.values():
        assert point.source
        if point.curve is not None:
            assert len(baselines.kodak_curve(point.curve)) >= 4


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"source": ""}, "has its source"),
        ({"mac_scope": "decoder"}, "unknown mac_scope"),
        ({"bd_anchor": None}, "a BD-rate its anchor"),
        ({"decode_device": None}, "a time its image and device"),
    ],
)
def test_a_number_without_what_it_is_of_is_refused(values: dict, rule: str) -> None:
    with pytest.raises((DataError, ConfigError), match=rule):
        changed("RDC A", **values)


def test_a_mac_is_two_flops() -> None:
    assert POINTS["EVC-S"].kmacs_per_px == 69.6
    assert POINTS["EVC-S"].kflops_per_px == pytest.approx(139.2)


def test_a_cost_of_both_sides_is_on_no_axis_of_decoders() -> None:
    both = POINTS["MLIC++"]
    assert both.kflops_per_px is None
    assert both.kflops_per_px_both_sides == pytest.approx(2565.6)
    rows = table([both, POINTS["EVC-S"]]).set_index("codec")
    assert rows["kflops_per_px"].isna()["MLIC++"]
    assert rows["kflops_per_px_both_sides"].isna()["EVC-S"]
    assert both.rd_loss(LMBDA) is not None  # only its cost keeps it out
    assert "MLIC++" not in set(claims([LMBDA])["label"])


def test_two_anchors_share_no_column() -> None:
    rows = table(chosen()).set_index("codec")
    columns = [name for name in rows if name.startswith("bd_rate_percent")]
    assert "bd_rate_percent" not in columns
    assert (rows[columns].notna().sum(axis=1) <= 1).all()
    assert rows["bd_rate_percent.BPG"].dropna().index.str.startswith("RDC").all()
    assert {p.codec for p in chosen("VTM-17.2")} == {"EVC-L", "EVC-M", "EVC-S"}
    with pytest.raises(ConfigError, match=r"unknown anchor.*BPG, VTM-17\.2"):
        chosen("HM")


def test_cheap_ones_alone() -> None:
    found = chosen(max_kflops=4)
    assert {point.codec for point in found} == {
        *("Cool-chic 1.0", "Cool-chic 4.2", "Cool-chic 5.0.1 HOP"),
        "LotteryCodec 1600",
    }
    with pytest.raises(ConfigError, match=r"cheapest one costs 1\.6"):
        chosen(max_kflops=1)
    with pytest.raises(ConfigError, match="None of these says"):
        chosen("VTM-22.0", max_kflops=1e6)


def test_rd_losses_follow_from_the_curves() -> None:
    """Those that were given were found from the same curves by others."""
    given = [p for p in POINTS.values() if p.curve and p.rd_loss_of_mean_psnr]
    assert len(given) >= 7
    for point in given:
        found = point.rd_loss(LMBDA)
        assert found == pytest.approx(point.rd_loss_of_mean_psnr, abs=6e-4)


def test_the_best_point_lies_between_those_of_the_curve_or_is_unknown() -> None:
    curve = baselines.kodak_curve("evc-S")
    psnr_db = np.linspace(curve["psnr_db"].min(), curve["psnr_db"].max(), 10001)
    rate = np.exp(np.interp(psnr_db, curve["psnr_db"], np.log(curve["bpp"])))
    loss = rate + LMBDA * 255**2 / 10 ** (psnr_db / 10)
    assert POINTS["EVC-S"].rd_loss(LMBDA) == pytest.approx(loss.min(), abs=1e-6)
    assert POINTS["EVC-S"].rd_loss(0.0016) is None  # better ones were not published
    assert POINTS["HPCM-Base"].rd_loss(LMBDA) == 0.714
    assert POINTS["HPCM-Base"].rd_loss(0.02) is None


@pytest.fixture(scope="module")
def on_kodak(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    out = tmp_path_factory.mktemp("kodak")
    images = tuple(f"{name}.png" for name in sorted(baselines.KODAK_IMAGES))
    sweep = SweepOutput(out, images=images, dataset="kodak")
    sweep.finish(sweep.plan(architectures((32, 64)), names={3: "rdc_d"}))
    gather(out)
    return ReportData.read(out)


def test_claims_are_never_in_the_column_of_means_over_images(on_kodak) -> None:
    rows = on_kodak.claims
    assert "rd_loss" not in rows
    assert rows["rd_loss_of_mean_psnr"].notna().all()
    own = on_kodak.frontier
    assert (own["rd_loss_of_mean_psnr"] < own["rd_loss"]).all()
    weighted = own["bpp"] + own["lmbda"] * 255**2 / 10 ** (own["psnr_db"] / 10)
    pd.testing.assert_series_equal(
        own["rd_loss_of_mean_psnr"], weighted, check_names=False
    )
    for claim in payload(on_kodak)["claims"]:
        assert "rd_loss" not in claim
        assert claim["source"]


def test_claims_are_drawn_where_the_axis_is_theirs(on_kodak) -> None:
    figure = published_figure(on_kodak)
    (axes,) = figure.axes
    labels = {text.get_text() for text in axes.texts}
    assert labels == {*on_kodak.claims["label"], "light, 60,000 steps", "rdc_d"} | {
        "best, 20,000 steps"
    }
    entries = {text.get_text() for text in figure.legends[0].get_texts()}
    assert "published, not measured here" in entries
    (other,) = frontier_figure(on_kodak).axes
    names = {text.get_text() for text in other.texts}
    assert "rdc_d" in names
    assert names.isdisjoint(on_kodak.claims["label"])
    assert "published codecs are in figure published" in other.get_xlabel()


def test_no_label_lies_on_another(on_kodak) -> None:
    figure = published_figure(on_kodak)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > 10
    for i, box in enumerate(boxes):
        assert axes.bbox.containsx(box.x0)
        assert axes.bbox.containsx(box.x1)
        assert box.count_overlaps(boxes[:i]) == 0


def test_other_images_have_no_claims(mixed_sweep: Path) -> None:
    (axes,) = published_figure(ReportData.read(mixed_sweep)).axes
    assert "of the Kodak images" in axes.texts[0].get_text()


def test_all_fields_are_in_the_table() -> None:
    """But those of costs and BD-rates, which stand under what they are of."""
    left_out = {"kmacs_per_px", "mac_scope", "bd_rate_percent", "bd_anchor"}
    assert set(asdict(POINTS["RDC A"])) - left_out <= set(table(chosen()).columns)


def test_savings_stand_under_their_own_anchor_alone() -> None:
    table = claimed_savings("bpg444-tfc")
    assert table["label"].str.startswith("RDC ").all()
    assert table["bd_rate_percent"].tolist() == sorted(table["bd_rate_percent"])
    assert table["kflops_per_px"].iloc[0] == pytest.approx(2 * 538.2)
    assert claimed_savings("vtm-compressai").empty  # of which version, nobody says
