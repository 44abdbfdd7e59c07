"""Bjontegaard delta rate between two rate-distortion curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from rdc.errors import ConfigError, DataError


class OneCubic:
    """The cubic that fits all points best, which need not pass through them."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self._integral = Polynomial.fit(x, y, 3).integ()

    def integrate(self, low: float, high: float) -> float:
        return float(self._integral(high) - self._integral(low))


INTERPOLATIONS: dict[str, Callable] = {
    "pchip": PchipInterpolator,
    "akima": Akima1DInterpolator,
    "cubic": OneCubic,
}
MIN_POINTS = 4


def bd_rate(
    anchor_bpp: ArrayLike,
    anchor_psnr_db: ArrayLike,
    bpp: ArrayLike,
    psnr_db: ArrayLike,
    interpolation: str = "pchip",
    psnr_range_db: tuple[float, float] | None = None,
) -> float:
    """Mean rate difference to the anchor at equal PSNR, in per cent.

    The logarithm of the rate is interpolated over PSNR and integrated over the
    overlap of both curves, or over the asked range inside it (Bjontegaard, ITU-T
    VCEG-M33, 2001, with one cubic; piecewise cubics as in JVET-E0160).

    Args:
      anchor_bpp: f[n], n >= 4, in any order: the curve compared against.
      anchor_psnr_db: f[n].
      bpp: f[m], m >= 4, in any order.
      psnr_db: f[m].
      interpolation: "pchip", "akima", or "cubic", the one of 2001.
      psnr_range_db: lower and upper end; the whole overlap when left out.

    Returns:
      Per cent; negative where the curve saves rate against the anchor.

    Raises:
      DataError: a curve with too few, non-finite or non-monotone points, or curves
        that do not overlap.
      ConfigError: an unknown interpolation, or a range that would need
        extrapolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(
            "unknown interpolation",
            repr(interpolation),
            f"known: {', '.join(INTERPOLATIONS)}",
        )
    anchor = _curve("anchor", anchor_bpp, anchor_psnr_db)
    curve = _curve("curve", bpp, psnr_db)
    low, high = overlap_db(anchor[0], curve[0])
    if psnr_range_db is not None:
        low, high = _inside(low, high, psnr_range_db)
    mean_log_rate = [
        INTERPOLATIONS[interpolation](psnr, log_rate).integrate(low, high)
        / (high - low)
        for psnr, log_rate in (anchor, curve)
    ]
    return float(np.expm1(mean_log_rate[1] - mean_log_rate[0]) * 100)


def rates_at_equal_psnr(
    anchor_bpp: ArrayLike,
    anchor_psnr_db: ArrayLike,
    bpp: ArrayLike,
    psnr_db: ArrayLike,
) -> np.ndarray:
    """Rate difference of points to the anchor at the PSNR of each, in per cent.

    The logarithm of the anchor's rate is interpolated with pchip, as in `bd_rate`.

    Args:
      anchor_bpp: f[n], n >= 4, in any order.
      anchor_psnr_db: f[n].
      bpp: f[m], positive.
      psnr_db: f[m].

    Returns:
      f[m]; negative where a point saves rate, NaN outside of the anchor's range.

    Raises:
      DataError: an anchor with too few, non-finite or non-monotone points.
    """
    psnr, log_rate = _curve("anchor", anchor_bpp, anchor_psnr_db)
    there = PchipInterpolator(psnr, log_rate, extrapolate=False)(psnr_db)
    return 100 * np.expm1(np.log(bpp) - there)


def _curve(
    name: str, bpp: ArrayLike, psnr_db: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """PSNR ascending, and the logarithm of the rate there."""
    rate, psnr = np.asarray(bpp, float), np.asarray(psnr_db, float)
    if rate.ndim != 1 or rate.shape != psnr.shape:
        raise DataError(
            f"the {name} has one bpp per PSNR", f"shapes {rate.shape}, {psnr.shape}"
        )
    if len(rate) < MIN_POINTS:
        raise DataError(f"the {name} has at least {MIN_POINTS} points", len(rate))
    if not (np.isfinite(rate).all() and np.isfinite(psnr).all() and (rate > 0).all()):
        raise DataError(f"the {name} has finite PSNR and finite, positive bpp")
    order = np.lexsort((psnr, rate))
    rate, psnr = rate[order], psnr[order]
    bad = np.flatnonzero((np.diff(rate) <= 0) | (np.diff(psnr) <= 0))
    if len(bad):
        i = bad[0]
        raise DataError(
            f"PSNR of the {name} rises strictly with bpp",
            f"{psnr[i]:g} dB at {rate[i]:g} bpp, then "
            f"{psnr[i + 1]:g} dB at {rate[i + 1]:g} bpp",
            "leave out dominated and repeated points",
        )
    return psnr, np.log(rate)


def overlap_db(anchor_psnr_db: ArrayLike, psnr_db: ArrayLike) -> tuple[float, float]:
    """The PSNR that both curves have: lower and upper end.

    Raises:
      DataError: there is none.
    """
    anchor, curve = np.asarray(anchor_psnr_db, float), np.asarray(psnr_db, float)
    low, high = max(anchor.min(), curve.min()), min(anchor.max(), curve.max())
    if not low < high:
        raise DataError(
            "the curves overlap in PSNR",
            f"{anchor.min():g}-{anchor.max():g} dB and "
            f"{curve.min():g}-{curve.max():g} dB",
        )
    return float(low), float(high)


def _inside(low: float, high: float, asked: tuple[float, float]) -> tuple[float, float]:
    if not asked[0] < asked[1]:
        raise ConfigError("psnr_range_db is (lower, upper)", asked)
    if asked[0] < low or asked[1] > high:
        raise ConfigError(
            "psnr_range_db lies inside the overlap of the curves, for BD-rate does "
            "not extrapolate",
            f"{asked[0]:g}-{asked[1]:g} dB where both have {low:g}-{high:g} dB",
            "ask for a range inside it, or leave it out",
        )
    return asked
