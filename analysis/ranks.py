"""Whether FLOPs rank decoders as their decode time does, with uncertainty."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, rankdata

from rdc.errors import DataError
from rdc.measurements.rows import STAGES

CONFIDENCE = 0.95
MIN_POINTS = 3
_MAX_DRAWS = 500_000  # many points have narrow intervals: fewer resamples do


@dataclass(frozen=True)
class Correlation:
    """A rank correlation in [-1, 1] and its percentile bootstrap interval."""

    value: float
    low: float
    high: float


def rank_correlations(
    x: ArrayLike, y: ArrayLike, seed: int = 0
) -> tuple[Correlation, Correlation]:
    """Kendall's tau-b and Spearman's rho, resampling the points with replacement.

    Args:
      x: finite f[n], n >= 3.
      y: finite f[n].
      seed: of the resampling: 1000 times up to 500 points, then fewer, at least 50.

    Raises:
      DataError: too few points, values that are not finite, or one constant.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < MIN_POINTS:
        raise DataError(
            f"a rank correlation needs at least {MIN_POINTS} pairs",
            f"shapes {x.shape}, {y.shape}",
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("a rank correlation needs finite values")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise DataError("a rank correlation needs values that differ")
    resamples = min(max(_MAX_DRAWS // len(x), 50), 1000)
    choice = np.random.default_rng(seed).integers(len(x), size=(resamples, len(x)))
    x_drawn, y_drawn = x[choice], y[choice]
    # A resample of equal values has no ranks; it says nothing either way.
    ranked = (np.ptp(x_drawn, axis=1) > 0) & (np.ptp(y_drawn, axis=1) > 0)
    x_drawn, y_drawn = x_drawn[ranked], y_drawn[ranked]
    kendall = [
        kendalltau(a, b).statistic for a, b in zip(x_drawn, y_drawn, strict=True)
    ]
    return (
        _with_interval(kendalltau(x, y).statistic, kendall),
        _with_interval(_spearman(x[None], y[None])[0], _spearman(x_drawn, y_drawn)),
    )


def flops_against_time(frontier: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of kFLOPs/px with decode time, per device, stage and codec.

    Only points that compare with most, and never times of two coders or numerics.

    Returns:
      Columns `hardware_id stage coder numerics architectures kendall_tau_b kendall_low
      kendall_high spearman_rho spearman_low spearman_high`; one row wherever at least
      three architectures of different cost were timed.
    """
    rows = []
    prefix = "decode_ms."
    comparable = frontier[frontier["differs_in"] == ""]
    for (coder, numerics), points in comparable.groupby(["coder", "numerics"]):
        architectures = points.groupby("arch_id").median(numeric_only=True)
        for column in (c for c in architectures if c.startswith(prefix)):
            hardware_id, stage = column.removeprefix(prefix).split(".")
            pairs = architectures[["kflops_per_px", column]].dropna()
            if len(pairs) < MIN_POINTS or (pairs.nunique() == 1).any():
                continue
            timed = {
                "hardware_id": hardware_id,
                "stage": stage,
                "coder": coder,
                "numerics": numerics,
            }
            rows.append({**timed, **_correlated(pairs)})
    columns = ["hardware_id", "stage", "coder", "numerics", *_CORRELATED]
    table = pd.DataFrame(rows, columns=columns)
    order = table["stage"].map(STAGES.index)
    keys = (order, table["numerics"], table["coder"], table["hardware_id"])
    return table.iloc[np.lexsort(keys)].reset_index(drop=True)


def flops_against_estimates(estimates: pd.DataFrame) -> pd.DataFrame:
    """The same of what compilers expect of devices that are not at hand.

    Args:
      estimates: `analysis.decode_estimates.network_estimates`.

    Returns:
      `device_kind`, and the columns of `flops_against_time` from `architectures` on;
      one row per device with at least three architectures of different cost.
    """
    rows = []
    for device_kind, own in estimates.groupby("device_kind"):
        pairs = own[["kflops_per_px", "decode_ms"]].dropna()
        if len(pairs) >= MIN_POINTS and (pairs.nunique() > 1).all():
            rows.append({"device_kind": device_kind, **_correlated(pairs)})
    return pd.DataFrame(rows, columns=["device_kind", *_CORRELATED])


def between_devices(frontier: pd.DataFrame, stage: str = STAGES[0]) -> pd.DataFrame:
    """Rank correlation of the decode times of two devices, over architectures.

    Returns:
      `hardware_id`, `other_hardware_id`, and the columns of `flops_against_time` from
      `architectures` on; one row per pair with three architectures on both.
    """
    times = _medians_by_device(frontier, stage)
    rows = []
    for one, other in itertools.combinations(times, 2):
        pairs = times[[one, other]].dropna()
        if len(pairs) >= MIN_POINTS and (pairs.nunique() > 1).all():
            both = {"hardware_id": one, "other_hardware_id": other}
            rows.append({**both, **_correlated(pairs)})
    columns = ["hardware_id", "other_hardware_id", *_CORRELATED]
    return pd.DataFrame(rows, columns=columns)


def inversions(frontier: pd.DataFrame, stage: str = STAGES[0]) -> pd.DataFrame:
    """Pairs of which the one with fewer FLOPs decodes slower, beyond their spread.

    The quartiles of the two medians do not overlap: an inversion that repeats of one
    block could turn is none.

    Returns:
      `hardware_id`, `fewer_flops` and `faster` (architecture ids), `flops_ratio` and
      `time_ratio`, both over 1; per device the largest product of both first.
    """
    comparable = frontier[frontier["differs_in"] == ""]
    rows = []
    for device in _medians_by_device(frontier, stage):
        names = [f"decode_ms{part}.{device}.{stage}" for part in ("", "_q25", "_q75")]
        known = comparable.groupby("arch_id")[["kflops_per_px", *names]].median()
        known = known.dropna()
        flops, median, low, high = known.to_numpy(float).T
        cheap, fast = np.nonzero(
            (flops[:, None] < flops[None]) & (low[:, None] > high[None])
        )
        found = pd.DataFrame(
            {
                "hardware_id": device,
                "fewer_flops": known.index[cheap],
                "faster": known.index[fast],
                "flops_ratio": flops[fast] / flops[cheap],
                "time_ratio": median[cheap] / median[fast],
            }
        )
        product = found["flops_ratio"] * found["time_ratio"]
        rows.append(found.loc[product.sort_values(ascending=False).index])
    columns = ["hardware_id", "fewer_flops", "faster", "flops_ratio", "time_ratio"]
    table = pd.concat(rows) if rows else pd.DataFrame(columns=columns)
    return table.reset_index(drop=True)


def _medians_by_device(frontier: pd.DataFrame, stage: str) -> pd.DataFrame:
    """One row per architecture, a column per device, ms; of points that compare."""
    comparable = frontier[frontier["differs_in"] == ""]
    end = f".{stage}"
    names = [c for c in comparable if c.startswith("decode_ms.") and c.endswith(end)]
    found = comparable.groupby("arch_id")[names].median()
    return found.rename(columns=lambda name: name.split(".")[1])


_CORRELATED = (
    "architectures",
    *("kendall_tau_b", "kendall_low", "kendall_high"),
    *("spearman_rho", "spearman_low", "spearman_high"),
)


def _correlated(pairs: pd.DataFrame) -> dict[str, float]:
    """Of two columns without gaps, in the order of `_CORRELATED`."""
    kendall, spearman = rank_correlations(*pairs.to_numpy().T)
    values: list[float] = [len(pairs)]
    for found in (kendall, spearman):
        values += [found.value, found.low, found.high]
    return dict(zip(_CORRELATED, values, strict=True))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each row: the correlation of ranks, ties at their mean rank."""
    a, b = (rankdata(values, axis=1) for values in (x, y))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def _with_interval(value: float, resampled: ArrayLike) -> Correlation:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(np.asarray(resampled), [tail, 100 - tail])
    return Correlation(float(value), float(low), float(high))
