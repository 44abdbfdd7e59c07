"""BD-rates of many resamples of two curves at once.

`analysis.bd_rate` is the definition; this is the same integral of the same piecewise
cubics (PCHIP: Fritsch & Butland 1984, as in SciPy), for all resamples together: one by
one, those of a large sweep would take minutes.
"""

from __future__ import annotations

import numpy as np


def bd_rates(
    anchor_bpp: np.ndarray,
    anchor_psnr_db: np.ndarray,
    bpp: np.ndarray,
    psnr_db: np.ndarray,
    psnr_range_db: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Per cent of rate, for each resample over the range that both curves have there.

    Args:
      anchor_bpp, anchor_psnr_db: f[d,m], m >= 4, of d resamples.
      bpp, psnr_db: f[d,n], n >= 4.
      psnr_range_db: lower and upper ends, f[d]; both curves' own when left out.

    Returns:
      f[d]; NaN where a resampled curve does not rise or the two lack the range.
    """
    curves = [
        _sorted(np.log(rate), psnr)
        for rate, psnr in ((anchor_bpp, anchor_psnr_db), (bpp, psnr_db))
    ]
    low = np.maximum(*(psnr[:, 0] for psnr, _ in curves))
    high = np.minimum(*(psnr[:, -1] for psnr, _ in curves))
    rises = [
        (np.diff(psnr) > 0).all(axis=1) & (np.diff(rate) > 0).all(axis=1)
        for psnr, rate in curves
    ]
    sound = rises[0] & rises[1]
    if psnr_range_db is not None:
        asked_low, asked_high = psnr_range_db
        sound &= (low <= asked_low) & (asked_high <= high)
        low, high = asked_low, asked_high
    sound &= low < high
    found = np.full(len(low), np.nan)
    if sound.any():
        low, high = low[sound], high[sound]
        anchor, curve = (
            _integral(psnr[sound], rate[sound], low, high) for psnr, rate in curves
        )
        found[sound] = 100 * np.expm1((curve - anchor) / (high - low))
    return found


def _sorted(log_rate: np.ndarray, psnr_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(PSNR, logarithm of the rate), the rate ascending."""
    order = np.argsort(log_rate, axis=1, kind="stable")
    psnr = np.take_along_axis(psnr_db, order, axis=1)
    return psnr, np.take_along_axis(log_rate, order, axis=1)


def _integral(
    x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Of the interpolant of each row of y over x, from low to high inside of x."""
    steps = np.diff(x, axis=1)
    rises = np.diff(y, axis=1) / steps
    slopes = _slopes(steps, rises)
    total = np.zeros(len(x))
    for k in range(steps.shape[1]):
        left, width = x[:, k], steps[:, k]
        begin = np.clip((low - left) / width, 0, 1)
        end = np.clip((high - left) / width, 0, 1)
        # Hermite's cubic in t of [0, 1], by powers of t.
        first, last = slopes[:, k] * width, slopes[:, k + 1] * width
        rise = y[:, k + 1] - y[:, k]
        powers = (y[:, k], first, 3 * rise - 2 * first - last, first + last - 2 * rise)
        for power, factor in enumerate(powers, start=1):
            total += width * factor * (end**power - begin**power) / power
    return total


def _slopes(steps: np.ndarray, rises: np.ndarray) -> np.ndarray:
    """At each point: weighted harmonic means inside, one-sided at the ends."""
    before, after = rises[:, :-1], rises[:, 1:]
    w_before = 2 * steps[:, 1:] + steps[:, :-1]
    w_after = steps[:, 1:] + 2 * steps[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (w_before + w_after) / (w_before / before + w_after / after)
    inside = np.where(before * after > 0, inside, 0.0)
    first = _end(steps[:, 0], steps[:, 1], rises[:, 0], rises[:, 1])
    last = _end(steps[:, -1], steps[:, -2], rises[:, -1], rises[:, -2])
    return np.concatenate([first[:, None], inside, last[:, None]], axis=1)


def _end(
    step: np.ndarray, next_step: np.ndarray, rise: np.ndarray, next_rise: np.ndarray
) -> np.ndarray:
    slope = ((2 * step + next_step) * rise - step * next_rise) / (step + next_step)
    slope = np.where(np.sign(slope) == np.sign(rise), slope, 0.0)
    overshoots = (np.sign(rise) != np.sign(next_rise)) & (
        np.abs(slope) > 3 * np.abs(rise)
    )
    return np.where(overshoots, 3 * rise, slope)
