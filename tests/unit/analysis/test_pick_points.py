"""Picks by any two measures and more."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.measures import MEASURES
from analysis.pick_points import Limit, pick_point
from rdc.errors import ConfigError, DataError

POINTS = pd.DataFrame(
    {
        "name": list("abcdef"),
        "lmbda": [0.01, 0.01, 0.01, 0.02, 0.02, 0.02],
        "distortion": "mse",
        "kflops_per_px": [10.0, 20, 30, 10, 20, 30],
        "psnr_db": [30.0, 31, 33, 34, 35, 36],
        "rd_loss": [1.0, 0.9, None, 1.5, 1.4, 1.3],
        "bytes": [100, 90, 80, 200, 190, 180],
    }
)


def picked(best: str, *limits: str, lmbda: float | None = None) -> list[str | None]:
    """Names of the next cheaper, the pick, the next dearer."""
    chosen = [Limit.parse(text) for text in limits]
    found = pick_point(POINTS, MEASURES[best], chosen, lmbda)
    rows = (found.next_cheaper, found.best, found.next_dearer)
    return [None if row is None else row["name"] for row in rows]


def test_the_best_within_limits_and_its_neighbours_along_the_first() -> None:
    assert picked("psnr_db", "kflops_per_px=20") == ["d", "e", "f"]
    assert picked("psnr_db", "bytes=100") == [None, "c", "f"]
    assert picked("kflops_per_px", "psnr_db=35") == ["f", "e", "d"]
    assert picked("psnr_db", "kflops_per_px=30", "bytes=100") == ["e", "c", "d"]


def test_what_compares_at_one_lambda_is_picked_at_one() -> None:
    assert picked("rd_loss", "kflops_per_px=30", lmbda=0.01) == ["a", "b", None]
    with pytest.raises(ConfigError, match=r"setting lmbda, one of 0\.01, 0\.02"):
        picked("rd_loss", "kflops_per_px=30")
    with pytest.raises(ConfigError, match="trained for"):
        picked("rd_loss", "kflops_per_px=30", lmbda=0.5)
    two = POINTS.assign(distortion=["mse", "ms_ssim"] * 3)
    with pytest.raises(ConfigError, match="have one distortion; got mse; ms_ssim"):
        pick_point(two, MEASURES["rd_loss"], [Limit.parse("bytes=99")], 0.01)


@pytest.mark.parametrize(
    ("best", "limit", "told"),
    [
        ("psnr_db", "kflops_per_px=5", r"none of 6.*by itself: kflops_per_px 10"),
        ("psnr_db", "kflops_per_px", "a measure and a number"),
        ("psnr_db", "kflops_per_px=nan", "a measure and a number"),
        ("psnr_db", "speed=5", "unknown measure"),
        ("psnr_db", "psnr_db=30", "are different"),
    ],
)
def test_what_cannot_be_picked_is_one_error(best: str, limit: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        picked(best, limit)


def test_a_measure_that_no_point_has_is_named() -> None:
    with pytest.raises(DataError, match="psnr_db and decode_ms"):
        picked("psnr_db", "decode_ms=30")
