"""Which point to take by any measures: the best in one, within limits on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.measures import Measure, compared_within, measures_of
from analysis.pick import at_lmbda, only_lmbda
from rdc.errors import ConfigError, DataError


@dataclass(frozen=True)
class Limit:
    """At most so much of a measure of which less is better, at least of another."""

    measure: Measure
    value: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Of `MEASURE=VALUE`.

        Raises:
          ConfigError: another form, or a name that no measure has.
        """
        name, _, value = text.partition("=")
        (measure,) = measures_of([name])
        try:
            number = float(value)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise ConfigError(
                "a limit is a measure and a number",
                repr(text),
                f"write {name}=VALUE",
            )
        return cls(measure, number)

    def holds(self, points: pd.DataFrame) -> pd.Series:
        values = points[self.measure.name]
        return values <= self.value if self.measure.minimise else values >= self.value

    def __str__(self) -> str:
        word = "at most" if self.measure.minimise else "at least"
        return f"{self.measure.name} {word} {self.value:g}"


@dataclass(frozen=True)
class PointPick:
    """The best point within limits, and its neighbours along the first limit.

    Attributes:
      next_cheaper: the best of those that have less of the first limit's measure, or
        more where more is better; None: there is none.
      next_dearer: of those that are better, the one that has least of it; likewise.
      of: how many points have all measures.
    """

    best: pd.Series
    next_cheaper: pd.Series | None
    next_dearer: pd.Series | None
    of: int


def pick_point(
    points: pd.DataFrame,
    best: Measure,
    limits: Sequence[Limit],
    lmbda: float | None = None,
) -> PointPick:
    """The point that is best in one measure, within limits on others.

    Args:
      points: that compare, as `analysis.candidates.comparable` gives them.
      limits: at least one; neighbours are told along the first.
      lmbda: points of this one alone; needed where a measure compares within one.

    Raises:
      ConfigError: one measure twice, several values of what a measure compares within,
        or nothing is within the limits.
      DataError: no point has all measures.
    """
    measures = [best, *(limit.measure for limit in limits)]
    names = [measure.name for measure in measures]
    measures_of(names)
    held = compared_within(names)
    if lmbda is None and "lmbda" in held:
        lmbda = only_lmbda(points)
    if lmbda is not None:
        points = at_lmbda(points, lmbda)
    missing = [m.name for m in measures if m.name not in points]
    known = points if missing else points.dropna(subset=names)
    if missing or known.empty:
        raise DataError(f"some point has {' and '.join(names)}", "none has all of them")
    for name in held:
        if name in known and known[name].nunique() > 1:
            raise ConfigError(
                f"points that are picked from have one {name}",
                "; ".join(map(str, known[name].unique())),
                "choose measures that compare across them",
            )
    within = known[np.logical_and.reduce([limit.holds(known) for limit in limits])]
    if within.empty:
        texts = [
            f"{m.name} {known[m.name].min() if m.minimise else known[m.name].max():.4g}"
            for m in measures[1:]
        ]
        raise ConfigError(
            f"some point has {' and '.join(map(str, limits))}",
            f"none of {len(known)}",
            f"the best of each by itself: {', '.join(texts)}",
        )
    cost = limits[0].measure
    pick = _ordered(within, best, cost).iloc[0]
    return PointPick(
        pick,
        _first(_ordered(known[_better(known, cost, pick)], best, cost)),
        _first(_ordered(known[_better(known, best, pick)], cost, best)),
        len(known),
    )


def _ordered(points: pd.DataFrame, *measures: Measure) -> pd.DataFrame:
    """Best first by the first measure, among equals by the next."""
    names, ascending = [m.name for m in measures], [m.minimise for m in measures]
    return points.sort_values(names, ascending=ascending, kind="stable")


def _first(points: pd.DataFrame) -> pd.Series | None:
    return None if points.empty else points.iloc[0]


def _better(points: pd.DataFrame, measure: Measure, than: pd.Series) -> pd.Series:
    values, limit = points[measure.name], than[measure.name]
    return values < limit if measure.minimise else values > limit
