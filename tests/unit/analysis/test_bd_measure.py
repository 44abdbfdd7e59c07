"""BD-rate as an objective: one anchor, one range, or a reason."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.bd_measure import with_bd_rates
from analysis.bd_rate import bd_rate
from analysis.gather import gather
from rdc.errors import ConfigError
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures

OBJECTIVES = ("kflops_per_px", "bd_rate_percent")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepOutput:
    """A curve of five points, a point alone, and a classical codec."""
    sweep = SweepOutput(tmp_path_factory.mktemp("bd") / "out")
    write_curve(sweep, better_db=1.0)
    jobs = sweep.plan(architectures((64,))[:1], names={0: "alone"})
    sweep.finish(jobs)
    sweep.classical("jpeg")
    return sweep


def test_points_have_the_bd_rate_of_their_curve(sweep: SweepOutput) -> None:
    table = gather(sweep.out, OBJECTIVES)["frontier"]
    curve, alone = table[:5], table.iloc[5]
    expected = -100 * (1 - 2**-0.25)
    assert curve["bd_rate_percent"].tolist() == pytest.approx([expected] * 5)
    (window,) = curve["bd_window"].unique()
    assert window == "JPEG (measured), pchip, 26.00 to 38.00 dB"
    assert curve["on_frontier"].all()
    # At 38 dB the curve is better than all of the anchor.
    own = curve["anchor_rate_percent"].tolist()
    assert own == pytest.approx([expected] * 4 + [expected], abs=1e-6)
    assert curve["bd_gap"].isna().all()
    assert pd.isna(alone["bd_rate_percent"])
    assert pd.isna(alone["bd_window"])
    assert alone["bd_gap"] == "it has 1 of at least 4 points"
    assert not alone["on_frontier"]


def test_a_model_of_the_sweep_is_an_anchor_by_its_curve_id(sweep: SweepOutput) -> None:
    curve_id = gather(sweep.out)["frontier"]["curve_id"].iloc[0]
    tables = gather(sweep.out, OBJECTIVES, anchor=curve_id)
    table = tables["frontier"]
    assert table["bd_rate_percent"][:5].tolist() == pytest.approx([0.0] * 5)
    assert table["bd_window"][0].startswith(f"{curve_id} (model), pchip, ")
    rows = tables["curves"].set_index("anchor")["anchor_source"].to_dict()
    assert rows == {"JPEG": "measured", curve_id: "model"}


def test_an_anchor_of_too_few_points_is_the_reason(sweep: SweepOutput) -> None:
    curves = gather(sweep.out, OBJECTIVES, anchor="alone")["curves"]
    row = curves[curves["anchor"] == "alone"].iloc[0]
    assert row["reason"].startswith("the anchor has at least 4 points; got 1")
    assert pd.isna(row["bd_rate_percent"])


def test_an_anchor_that_nothing_is_called_is_refused(sweep: SweepOutput) -> None:
    with pytest.raises(ConfigError, match=r"unknown anchor.*JPEG"):
        gather(sweep.out, OBJECTIVES, anchor="jpg")


def test_all_numbers_are_over_one_range_and_others_have_a_reason(
    sweep: SweepOutput,
) -> None:
    """Curves of 26-38 dB, of 28-36 dB and, lower than most, of 27-31 dB."""
    tables = gather(sweep.out)
    frontier, curves = tables["frontier"][:5], tables["curves"].head(1)
    parts, rows = [frontier], [curves]
    for curve_id, low, high in (("b", 28.0, 36.0), ("c", 27.0, 31.0)):
        psnr_db = [low + (high - low) * k / 4 for k in range(5)]
        own = frontier.assign(curve_id=curve_id, psnr_db=psnr_db)
        parts.append(own)
        ends = {"range_low_db": low, "range_high_db": high}
        rows.append(curves.assign(curve_id=curve_id, **ends))
    every = pd.concat(parts, ignore_index=True)
    found = with_bd_rates(every, pd.concat(rows, ignore_index=True), tables["codecs"])
    assert found["bd_window"].nunique() == 1
    first = found.groupby("curve_id", sort=False).first()
    assert first["bd_window"].iloc[1].endswith("28.00 to 36.00 dB")
    assert first["bd_gap"]["c"] == ("its curve and the anchor's lack 28.00 to 36.00 dB")
    assert pd.isna(first["bd_rate_percent"]["c"])
    jpeg = tables["codecs"].groupby("setting")[["bpp_coded", "psnr_db"]].mean()
    points = every[every["curve_id"] == "b"]
    expected = bd_rate(
        *(jpeg["bpp_coded"], jpeg["psnr_db"], points["bpp"], points["psnr_db"]),
        psnr_range_db=(28.0, 36.0),
    )
    assert first["bd_rate_percent"]["b"] == pytest.approx(expected)


def test_a_sweep_without_curves_has_no_numbers(sweep: SweepOutput) -> None:
    tables = gather(sweep.out)
    none = tables["curves"].head(0)
    found = with_bd_rates(tables["frontier"], none, tables["codecs"])
    assert len(found) == len(tables["frontier"])
    assert found["bd_rate_percent"].isna().all()
