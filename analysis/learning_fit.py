"""Power laws of the RD loss: over the steps of a training, and over decoder cost.

    loss(x) = limit + scale * x ** -exponent

Intervals are those of the profile: all exponents whose best fit is not significantly
worse than the best of all. Points that follow each other err alike; how many of them
tell something of their own is estimated from their residuals. Where the points do not
determine the law, a row says why and has no numbers.

A law over steps holds for trainings of one schedule: a learning rate that falls
towards the end bends the curve down, and a longer training bends it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

from rdc.errors import DataError

CONFIDENCE = 0.95
MIN_POINTS = 5
_EXPONENTS = np.geomspace(0.02, 5, 1000)
# Of a training, in which the warm-up and the first descent obey no law.
_FIRST_SHARE = 0.05
_PARAMETERS = 3
_FIT = (
    *("limit", "limit_low", "limit_high"),
    *("exponent", "exponent_low", "exponent_high"),
)


@dataclass(frozen=True)
class Interval:
    """A value, and where it lies with `CONFIDENCE`."""

    value: float
    low: float
    high: float


class PowerLaw:
    """`limit + scale * x ** -exponent`, fitted by least squares.

    Args:
      x: positive f[n], n >= 5, at least four of them different.
      loss: finite f[n].
      in_order: whether neighbours err alike, as those of a learning curve.

    Raises:
      DataError: too few points, or values that no law is fitted to.
    """

    def __init__(self, x: ArrayLike, loss: ArrayLike, in_order: bool = False):
        x, loss = np.asarray(x, float), np.asarray(loss, float)
        different = len(np.unique(x))
        if x.ndim != 1 or x.shape != loss.shape:
            raise DataError("a law has one loss per place", f"{x.shape}, {loss.shape}")
        if len(x) < MIN_POINTS or different <= _PARAMETERS:
            raise DataError(
                f"a power law needs {MIN_POINTS} points at {_PARAMETERS + 1} places",
                f"{len(x)} at {different}",
            )
        if not (np.isfinite(loss).all() and np.isfinite(x).all() and (x > 0).all()):
            raise DataError("a power law is of finite losses at positive places")
        self._unit = float(x.min())  # powers of multiples of it stay near 1
        powers = (x / self._unit) ** -_EXPONENTS[:, None]
        # A straight line over each power: slope, value at the mean, squared errors.
        self._means = powers.mean(axis=1)
        centred = powers - self._means[:, None]
        self._spreads = (centred**2).sum(axis=1)
        self._scales = centred @ loss / self._spreads
        self._loss, self._n = float(loss.mean()), len(loss)
        residuals = loss - self._loss - self._scales[:, None] * centred
        self._errors = (residuals**2).sum(axis=1)
        self._best = int(self._errors.argmin())
        points = _own_points(residuals[self._best]) if in_order else float(self._n)
        freedom = max(points - _PARAMETERS, 1.0)
        quantile = f_distribution.ppf(CONFIDENCE, 1, freedom)
        # Errors of `n` points, of which so many tell something of their own.
        self._most = self._errors[self._best] * (1 + quantile / freedom)
        self._points = points

    @cached_property
    def limit(self) -> Interval:
        """The loss at infinite x."""
        return self._interval(np.zeros_like(_EXPONENTS))

    @cached_property
    def exponent(self) -> Interval:
        inside = _EXPONENTS[self._inside]
        best = _EXPONENTS[self._best]
        return Interval(float(best), float(inside.min()), float(inside.max()))

    def at(self, x: float) -> Interval:
        """The expected loss, without the scatter of one measurement."""
        return self._interval((x / self._unit) ** -_EXPONENTS)

    @property
    def reason(self) -> str:
        """Why the law is not determined; empty where it is."""
        if self._scales[self._best] <= 0:
            return "the loss does not fall"
        if self._inside[0] or self._inside[-1]:
            return (
                f"exponents from {self.exponent.low:.2g} to {self.exponent.high:.2g} "
                "fit alike"
            )
        if self.limit.low <= 0:
            return "the limit may be nothing"
        return ""

    @property
    def _inside(self) -> np.ndarray:
        return self._errors <= self._most

    def _interval(self, power: np.ndarray) -> Interval:
        """At these powers of x, one for each exponent.

        For a given exponent the errors grow with the square of the distance from the
        best value there, so that the profile has a closed form.
        """
        away = power - self._means
        values = self._loss + self._scales * away
        slack = np.maximum(self._most - self._errors, 0)
        reach = np.sqrt(slack * (1 / self._n + away**2 / self._spreads))
        inside = self._inside
        return Interval(
            float(values[self._best]),
            float((values - reach)[inside].min()),
            float((values + reach)[inside].max()),
        )


def learning_fits(curves: pd.DataFrame, longer: float = 2.0) -> pd.DataFrame:
    """The law of each training, and what it expects of a longer one.

    Args:
      curves: `run_id step loss`, as `analysis.models_page.learning` reads them.
      longer: how many times as long.

    Returns:
      One row per run: `run_id steps`, limit and exponent with their intervals,
      `longer_loss longer_loss_low longer_loss_high`, and `reason` where there are none.
    """
    rows = []
    for run_id, curve in curves.sort_values("step").groupby("run_id", sort=False):
        steps = int(curve["step"].max())
        late = curve[curve["step"] > _FIRST_SHARE * steps]
        rows.append(
            {"run_id": run_id, "steps": steps}
            | _fitted(late["step"], late["loss"], longer * steps)
        )
    names = ("longer_loss", "longer_loss_low", "longer_loss_high")
    return pd.DataFrame(rows, columns=["run_id", "steps", *_FIT, *names, "reason"])


def compute_fits(points: pd.DataFrame, cost: str = "kflops_per_px") -> pd.DataFrame:
    """The law of each family over its decoder's cost, at each lambda.

    Args:
      points: rows of `frontier` that compare, of one set of images.
      cost: a column of it.

    Returns:
      One row per family and lambda: `family lmbda models`, limit and exponent with
      their intervals, and `reason`.
    """
    measured = points[points["rd_loss"].notna() & points[cost].notna()]
    rows = [
        {"family": family, "lmbda": lmbda, "models": len(own)}
        | _fitted(own[cost], own["rd_loss"])
        for (family, lmbda), own in measured.groupby(["family", "lmbda"])
    ]
    return pd.DataFrame(rows, columns=["family", "lmbda", "models", *_FIT, "reason"])


def _fitted(
    x: pd.Series, loss: pd.Series, longer: float | None = None
) -> dict[str, float | str]:
    """The columns of a fit, or its reason.

    Args:
      longer: x of a curve's continuation, whose loss is expected.
    """
    try:
        law = PowerLaw(x, loss, in_order=longer is not None)
    except DataError as error:
        return {"reason": f"{error.rule}; got {error.value}"}
    if law.reason:
        return {"reason": law.reason}
    found = {"limit": law.limit, "exponent": law.exponent}
    if longer is not None:
        found["longer_loss"] = law.at(longer)
    row: dict[str, float | str] = {"reason": ""}
    for key, interval in found.items():
        row |= {key: interval.value}
        row |= {f"{key}_low": interval.low, f"{key}_high": interval.high}
    return row


def _own_points(residuals: np.ndarray) -> float:
    """How many independent points tell as much, where neighbours err alike."""
    before, after = residuals[:-1], residuals[1:]
    total = float(residuals @ residuals)
    alike = max(float(before @ after) / total, 0.0) if total > 0 else 0.0
    return len(residuals) * (1 - alike) / (1 + alike)
