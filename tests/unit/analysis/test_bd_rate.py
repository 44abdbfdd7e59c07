from __future__ import annotations

import itertools
from pathlib import Path

import bjontegaard
import numpy as np
import pandas as pd
import pytest

from analysis.bd_rate import INTERPOLATIONS, bd_rate, rates_at_equal_psnr
from rdc.errors import ConfigError, DataError

PSNR = np.array([30.0, 32.0, 34.0, 36.0, 38.0])
BPP = np.array([0.1, 0.2, 0.4, 0.7, 1.1])

# Published curves.
POINTS = Path(__file__).parents[2] / "data/rd_curves/points.csv"


@pytest.mark.filterwarnings("ignore:.*overlap")  # they are told apart below
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_agrees_with_the_package_bjontegaard(interpolation: str) -> None:
    """Every pair of published curves that overlap."""
    curves = dict(list(pd.read_csv(POINTS).groupby("codec")))
    compared = 0
    for one, other in itertools.permutations(curves, 2):
        both = [
            values
            for curve in (curves[one], curves[other])
            for values in (curve["bpp"].to_numpy(), curve["psnr_db"].to_numpy())
        ]
        try:
            found = bd_rate(*both, interpolation)
        except DataError:  # they do not overlap, or one has few points
            continue
        compared += 1
        expected = bjontegaard.bd_rate(
            *both, method=interpolation, require_matching_points=False, min_overlap=0
        )
        assert found == pytest.approx(expected, abs=0.01), (one, other)
    assert compared >= 50


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
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
    with pytest.raises(ConfigError, match="unknown interpolation; got 'spline'"):
        bd_rate(BPP, PSNR, BPP, PSNR, "spline")


def test_rates_at_equal_psnr_are_those_of_the_anchor_between_its_points() -> None:
    psnr = np.array([28.0, 30, 32, 34])
    anchor = 0.1 * 2 ** ((psnr - 28) / 4)  # straight in the logarithm
    found = rates_at_equal_psnr(anchor[::-1], psnr[::-1], [0.3, 0.1, 1], [31, 29, 35])
    expected = [100 * (0.3 / (0.1 * 2**0.75) - 1), 100 * (2**-0.25 - 1), np.nan]
    np.testing.assert_allclose(found, expected)
    with pytest.raises(DataError, match="rises strictly"):
        rates_at_equal_psnr([0.1, 0.2, 0.3, 0.4], [28, 27, 29, 30], [0.3], [28])
