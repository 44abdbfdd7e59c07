"""Which points are not dominated, and how much of the space they dominate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rdc.errors import ConfigError, DataError

_CHUNK = 256  # points compared at once: bounds the memory of the comparison


def pareto_mask(
    points: ArrayLike, minimise: Sequence[bool] | None = None
) -> np.ndarray:
    """Marks the points that no other point dominates.

    A point dominates another where it is at least as good in every objective and
    better in one. Equal points do not dominate each other: all are kept.

    Args:
      points: f[n,d]; a row with a NaN was not measured and is never on the frontier.
      minimise: per objective, whether less is better; all True when left out.

    Returns:
      bool[n].

    Raises:
      ConfigError: where `minimise` does not fit the objectives.
      DataError: where `points` is not two-dimensional.
    """
    costs = _costs(points, minimise)
    measured = np.flatnonzero(~np.isnan(costs).any(axis=1))
    mask = np.zeros(len(costs), bool)
    if len(measured):
        # Sorted by the first objective, ties by the next: whoever dominates a point
        # comes before it.
        distinct, inverse = np.unique(costs[measured], axis=0, return_inverse=True)
        mask[measured] = _distinct_mask(distinct)[inverse.reshape(-1)]
    return mask


def staircase(points: ArrayLike, minimise: Sequence[bool] | None = None) -> np.ndarray:
    """The vertices of the step line beyond which nothing was found.

    Between two frontier points the worse one in the second objective holds until the
    other is reached: no interpolation promises what nobody trained.

    Args:
      points: f[n,2].
      minimise: per objective, whether less is better; both when left out.

    Returns:
      f[m,2], from the best in the first objective on, corners included; empty for no
      points.
    """
    costs = _costs(points, minimise)
    corners = np.unique(costs[pareto_mask(costs)], axis=0)
    if not len(corners):
        return np.empty((0, 2))
    x = np.repeat(corners[:, 0], 2)[1:]
    y = np.repeat(corners[:, 1], 2)[:-1]
    return _costs(np.stack([x, y], axis=1), minimise)


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate, up to `reference`; all objectives minimised.

    Exact, by slicing along the last objective: O(n log n) for two objectives and a
    factor n more for each further one.

    Args:
      points: finite f[n,d]; points not better than the reference in every objective
        add nothing.
      reference: finite f[d], worse than what is of interest.

    Returns:
      The volume in the product of the objectives' units; 0 without points.

    Raises:
      DataError: for a value that is not finite.
      ConfigError: where the reference has another number of objectives.
    """
    reference = np.asarray(reference, float)
    if reference.ndim != 1 or not len(reference):
        raise ConfigError("reference is one point", f"shape {reference.shape}")
    if np.size(points) == 0:
        points = np.empty((0, len(reference)))
    costs = _costs(points, None)
    if costs.shape[1] != len(reference):
        raise ConfigError(
            "points and reference have the same objectives",
            f"{costs.shape[1]} and {len(reference)}",
        )
    for name, values in (("points", costs), ("reference", reference)):
        if not np.isfinite(values).all():
            raise DataError(
                f"hypervolume needs finite {name}",
                values[~np.isfinite(values)][0],
                "leave out what was not measured",
            )
    inside = costs[(costs < reference).all(axis=1)]
    return float(_volume(np.unique(inside, axis=0), reference))


def _costs(points: ArrayLike, minimise: Sequence[bool] | None) -> np.ndarray:
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] == 0:
        raise DataError("points have one row each", f"shape {points.shape}")
    if minimise is None:
        return points
    if len(minimise) != points.shape[1]:
        raise ConfigError(
            "minimise has one entry per objective",
            f"{len(minimise)} for {points.shape[1]}",
        )
    return np.where(np.asarray(minimise, bool), points, -points)


def _distinct_mask(points: np.ndarray) -> np.ndarray:
    """Like `pareto_mask`, for distinct rows in lexicographic order."""
    if points.shape[1] <= 2:
        last = points[:, -1]
        best_before = np.minimum.accumulate(last)[:-1]
        return np.concatenate([[True], last[1:] < best_before])
    mask = np.zeros(len(points), bool)
    front = points[:0]
    for start in range(0, len(points), _CHUNK):
        chunk = points[start : start + _CHUNK]
        rivals = np.concatenate([front, chunk])
        no_worse = (rivals[:, None] <= chunk[None]).all(axis=2)
        kept = no_worse.sum(axis=0) == 1  # itself alone
        mask[start : start + _CHUNK] = kept
        front = np.concatenate([front, chunk[kept]])
    return mask


def _volume(points: np.ndarray, reference: np.ndarray) -> float:
    """Of distinct points in lexicographic order, all inside the reference."""
    if not len(points):
        return 0.0
    points = points[_distinct_mask(points)]
    if points.shape[1] == 1:
        return reference[0] - points[0, 0]
    if points.shape[1] == 2:
        widths = np.diff(points[:, 0], append=reference[0])
        return float(widths @ (reference[1] - points[:, 1]))
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = np.diff(points[:, -1], append=reference[-1])
    return sum(
        height * _volume(np.unique(points[: i + 1, :-1], axis=0), reference[:-1])
        for i, height in enumerate(heights)
        if height > 0
    )
