from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import baselines
from analysis.bd_rate import bd_rate
from rdc.errors import ConfigError, DataError

PSNR = np.array([30.0, 32.0, 34.0, 36.0, 38.0])
BPP = np.array([0.1, 0.2, 0.4, 0.7, 1.1])

# Published curves, and BD-rates between them by another implementation.
DATA = Path(__file__).parents[2] / "data/rd_curves"
CHECKS = pd.read_csv(DATA / "bd_rate.csv")
# Those between curves that the package ships.
SHIPPED = CHECKS[
    CHECKS.anchor.isin(baselines.LABELS) & CHECKS.test.isin(baselines.LABELS)
]


@pytest.mark.parametrize("interpolation", ["pchip", "akima"])
@pytest.mark.parametrize(
    "row", list(SHIPPED.itertuples()), ids=lambda row: f"{row.anchor}:{row.test}"
)
def test_agrees_with_another_implementation(row: tuple, interpolation: str) -> None:
    anchor, test = (baselines.kodak_curve(c) for c in (row.anchor, row.test))
    value = bd_rate(
        anchor["bpp"],
        anchor["psnr_db"],
        test["bpp"],
        test["psnr_db"],
        interpolation,
        (row.psnr_lo, row.psnr_hi),
    )
    expected = getattr(row, f"bd_rate_pct_{interpolation}")
    assert value == pytest.approx(expected, abs=0.02)


def test_all_published_curves() -> None:
    """Every row of the check, with its rounded range cut to the overlap."""
    curves = pd.read_csv(DATA / "points.csv").set_index("codec")
    assert len(CHECKS) >= 26
    for row in CHECKS.itertuples():
        anchor, test = curves.loc[row.anchor], curves.loc[row.test]
        high = min(row.psnr_hi, anchor["psnr_db"].max(), test["psnr_db"].max())
        value = bd_rate(
            anchor["bpp"],
            anchor["psnr_db"],
            test["bpp"],
            test["psnr_db"],
            psnr_range_db=(row.psnr_lo, high),
        )
        assert value == pytest.approx(row.bd_rate_pct_pchip, abs=0.02), row


@pytest.mark.parametrize("interpolation", ["pchip", "akima"])
def test_a_constant_factor_of_the_rate_is_the_answer(interpolation: str) -> None:
    saved = bd_rate(BPP, PSNR, 0.8 * BPP, PSNR, interpolation)
    assert saved == pytest.approx(-20)
    assert bd_rate(0.8 * BPP, PSNR, BPP, PSNR, interpolation) == pytest.approx(25)


def test_only_the_overlap_counts() -> None:
    longer = bd_rate(BPP, PSNR, np.append(BPP, 9.0) * 2, np.append(PSNR, 45.0))
    assert longer > 90
    inside = bd_rate(BPP, PSNR, 1.5 * BPP, PSNR, psnr_range_db=(31, 33))
    assert inside == pytest.approx(50)


def test_points_may_come_in_any_order() -> None:
    order = [3, 0, 4, 1, 2]
    assert bd_rate(BPP[order], PSNR[order], BPP * 2, PSNR) == pytest.approx(100)


def test_refuses_to_extrapolate() -> None:
    with pytest.raises(ConfigError, match="does not extrapolate; got 29-34 dB"):
        bd_rate(BPP, PSNR, BPP, PSNR, psnr_range_db=(29, 34))
    with pytest.raises(DataError, match="overlap in PSNR"):
        bd_rate(BPP, PSNR, BPP, PSNR + 10)
    with pytest.raises(ConfigError, match=r"\(lower, upper\)"):
        bd_rate(BPP, PSNR, BPP, PSNR, psnr_range_db=(34, 31))


@pytest.mark.parametrize(
    ("bpp", "psnr", "message"),
    [
        (BPP, PSNR[[0, 1, 3, 2, 4]], "rises strictly with bpp; got 36 dB at 0.4 bpp"),
        (BPP[[0, 1, 1, 3, 4]], PSNR, "rises strictly with bpp"),
        (BPP[:3], PSNR[:3], "at least 4 points; got 3"),
        (BPP[:4], PSNR, "one bpp per PSNR"),
        (np.append(BPP[:4], np.nan), PSNR, "finite"),
        (BPP - 0.1, PSNR, "positive bpp"),
    ],
)
def test_refuses_curves_without_an_answer(
    bpp: np.ndarray, psnr: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        bd_rate(BPP, PSNR, bpp, psnr)
    with pytest.raises(DataError, match=message):
        bd_rate(bpp, psnr, BPP, PSNR)


def test_refuses_an_unknown_interpolation() -> None:
    with pytest.raises(ConfigError, match="unknown interpolation; got 'cubic'"):
        bd_rate(BPP, PSNR, BPP, PSNR, "cubic")
