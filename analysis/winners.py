"""Which model is best for a price of a bit and a price of an operation.

J = D + lambda R + gamma C weighs distortion, rate and complexity in one number (de
Queiroz et al. 2025). Here D is the mean MSE on 0-255, R bits per pixel and C the
decoder's kFLOPs per pixel; so lambda is in MSE per bpp, the inverse of the `lmbda` of
trainings, and gamma in MSE per kFLOPs/px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.comparability import compares
from analysis.frontier import pareto_mask, staircase
from analysis.measures import MEASURES

_CELLS = 160  # of the map, on each side
_MARGIN = 3.0  # beyond the first and the last change of the winner, as a factor
_NEEDED = ["mse_255", "bpp", "kflops_per_px"]


@dataclass(frozen=True)
class WinnerMap:
    """Of a grid of prices, the winners.

    Attributes:
      lmbdas: f[n], MSE per bpp, log-spaced.
      gammas: f[m], MSE per kFLOPs/px, log-spaced.
      models: `curve_id family label`, those that win somewhere, cheapest first.
      winner: int[m,n], position in `models`.
    """

    lmbdas: np.ndarray
    gammas: np.ndarray
    models: pd.DataFrame
    winner: np.ndarray


def comparable_points(rows: pd.DataFrame) -> pd.DataFrame:
    """Of rows of `frontier`, one image set and codec, the points that compare in
    distortion, rate and cost. Each model may be at any of its rates, so that lambdas
    and the distortions of trainings need not be equal."""
    rows = rows.dropna(subset=_NEEDED)
    return rows[compares(rows["differs_in"], list(MEASURES["rd_loss"].within))]


def least(points: pd.DataFrame, lmbdas: np.ndarray, gammas: np.ndarray) -> np.ndarray:
    """The point with the least J for every pair of prices.

    Args:
      points: with `mse_255`, `bpp` and `kflops_per_px`.

    Returns:
      int[m,n]: positions in `points`, for m gammas and n lambdas; of equal ones the
      first.
    """
    distortion, rate, cost = points[_NEEDED].to_numpy(float).T
    best = np.empty((len(gammas), len(lmbdas)), int)
    for i, gamma in enumerate(gammas):
        costs = distortion + gamma * cost
        best[i] = (costs + lmbdas[:, None] * rate).argmin(axis=1)
    return best


def winner_map(points: pd.DataFrame, cells: int = _CELLS) -> WinnerMap:
    """The winners around all changes of the winner.

    Args:
      points: of `comparable_points`, of two and more models with different costs.
    """
    points = points[pareto_mask(points[_NEEDED])]  # no other can win
    lmbdas = _between(*_lmbda_range(points), cells)
    gammas = _between(*_gamma_range(points, lmbdas), cells)
    best = least(points, lmbdas, gammas)
    curves = points["curve_id"].to_numpy()[best]
    named = points.drop_duplicates("curve_id").sort_values(
        ["kflops_per_px", "curve_id"]
    )
    named = named[named["curve_id"].isin(np.unique(curves))].reset_index(drop=True)
    labels = named["name"]
    if "label" in named:  # of a report: also of those without a name
        labels = labels.fillna(named["label"])
    labels = labels.fillna(named["curve_id"].str[:8])
    models = named[["curve_id", "family"]].assign(label=labels)
    place = pd.Series(models.index, models["curve_id"])
    winner = place[curves.ravel()].to_numpy().reshape(curves.shape)
    return WinnerMap(lmbdas, gammas, models, winner)


def _between(low: float, high: float, cells: int) -> np.ndarray:
    return np.geomspace(low / _MARGIN, high * _MARGIN, cells)


def _lmbda_range(points: pd.DataFrame) -> tuple[float, float]:
    """What the points were trained for, as prices of a bit."""
    prices = 1 / points["lmbda"]
    return prices.min(), prices.max()


def _gamma_range(points: pd.DataFrame, lmbdas: np.ndarray) -> tuple[float, float]:
    """Below the first, cost decides nothing; above the last, it alone decides."""
    slopes = [
        slope
        for lmbda in lmbdas
        for slope in _slopes(
            points["kflops_per_px"], points["mse_255"] + lmbda * points["bpp"]
        )
    ]
    return (min(slopes), max(slopes)) if slopes else (1e-3, 1e-3)


def _slopes(cost: pd.Series, loss: pd.Series) -> list[float]:
    """Between neighbours of the lower convex hull: gammas where the winner changes."""
    front = staircase(np.stack([cost, loss], axis=1))[::2]
    hull: list[np.ndarray] = []
    for point in front:
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    steps = np.diff(np.array(hull), axis=0)
    return [float(-loss / cost) for cost, loss in steps]


def _turns_up(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
