"""Methods of a task at equal bytes: paired differences over photographs and seeds.

A method is a curve of settings. Between two neighbours, a photograph's answer counts by
their weights in the logarithm of bytes; two methods are compared where both have
settings on either side, photograph by photograph, seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.paired import mean_interval
from analysis.tables import LOCAL, REMOTE

# Of one photograph; more is better but for the divergence.
MEASURES = ("right", "agrees", "kl_nats")
_POINTS = 33  # of the common range that a difference is the mean of


@dataclass(frozen=True)
class Curve:
    """A method by one seed.

    Attributes:
      bytes: f64[settings], means per photograph, ascending.
      values: each of `MEASURES`, f64[settings, photographs].
      photographs: their names, in order.
    """

    bytes: np.ndarray
    values: dict[str, np.ndarray]
    photographs: tuple[str, ...]

    def at(self, sizes: np.ndarray, measure: str) -> np.ndarray:
        """f64[sizes, photographs], of sizes within the curve's."""
        values = self.values[measure]
        if len(values) == 1:
            return np.repeat(values, len(sizes), axis=0)
        logs, wanted = np.log(self.bytes), np.log(sizes)
        above = np.clip(np.searchsorted(logs, wanted), 1, len(logs) - 1)
        left, right = logs[above - 1], logs[above]
        share = ((wanted - left) / (right - left))[:, None]
        return (1 - share) * values[above - 1] + share * values[above]


@dataclass(frozen=True)
class TaskDifference:
    """Of one method from another, mean over the bytes that both have.

    Attributes:
      low, high: 95 % of the draws of seeds and photographs lie between.
      least_bytes, most_bytes: of all seeds; each is compared over what it has.
    """

    value: float
    low: float
    high: float
    least_bytes: float
    most_bytes: float
    seeds: int
    photographs: int

    @property
    def is_sure(self) -> bool:
        """Which one is better."""
        return self.low > 0 or self.high < 0


def label_of(method: str, setting: str) -> str:
    """A method without what is varied on its curve: `placement stage=1`."""
    fixed, _, _ = setting.rpartition(",")
    return f"{method} {fixed}".replace(",", " ").strip()


def of_photographs(answers: pd.DataFrame) -> pd.DataFrame:
    """The table `task_answers` with the method's `label`, `MEASURES`, `teacher_right`.

    Where the metric is of a set of photographs, it stands for each of them, and what a
    teacher has is unknown.
    """
    set_metric = answers["set_metric"].astype(float)
    of_set = set_metric.notna()
    right, agrees, teacher_right = (
        (answers[a] == answers[b]).astype(float).mask(of_set)
        for a, b in (
            ("answer", "label"),
            ("answer", "teacher_answer"),
            ("teacher_answer", "label"),
        )
    )
    return answers.assign(
        label=[
            label_of(method, setting)
            for method, setting in zip(
                answers["method"], answers["setting"], strict=True
            )
        ],
        right=right.fillna(set_metric),
        agrees=agrees.fillna(answers["agreement"].astype(float)),
        teacher_right=teacher_right,
    )


def curves(answers: pd.DataFrame) -> dict[str, dict[int, Curve]]:
    """By label and seed, from the table `task_answers` of one dataset and task.

    Methods of one setting, and photographs that one of a method's settings lacks, are
    left out.
    """
    rows = of_photographs(answers[~answers["method"].isin([REMOTE, LOCAL])])
    found: dict[str, dict[int, Curve]] = {}
    for (label, seed), own in rows.groupby(["label", "seed"], sort=False):
        curve = _curve(own)
        if curve is not None:
            found.setdefault(label, {})[seed] = curve
    return found


def _curve(rows: pd.DataFrame) -> Curve | None:
    tables = {
        name: rows.pivot_table(index="setting", columns="photograph", values=name)
        for name in ("bytes", *MEASURES)
    }
    whole = tables["bytes"].notna().all()
    tables = {name: table.loc[:, whole] for name, table in tables.items()}
    sizes = tables["bytes"].mean(axis=1).sort_values()
    if not sizes.is_unique or not whole.any():
        return None
    return Curve(
        bytes=sizes.to_numpy(),
        values={name: tables[name].loc[sizes.index].to_numpy() for name in MEASURES},
        photographs=tuple(tables["bytes"].columns),
    )


def difference(
    method: dict[int, Curve], other: dict[int, Curve], measure: str
) -> TaskDifference | None:
    """Of two methods; None where they have no seeds, bytes or photographs in common.

    Each pair of curves is compared over the bytes that it has in common, one of a
    single setting at its bytes. A method without training has one curve, which counts
    for every seed.
    """
    pairs = list(_paired(method, other))
    if not pairs:
        return None
    least = [max(one.bytes[0], two.bytes[0]) for one, two in pairs]
    most = [min(one.bytes[-1], two.bytes[-1]) for one, two in pairs]
    common = set.intersection(*(set(c.photographs) for pair in pairs for c in pair))
    if any(a > b for a, b in zip(least, most, strict=True)) or not common:
        return None
    names = sorted(common)
    values = []
    for (one, two), low, high in zip(pairs, least, most, strict=True):
        sizes = np.geomspace(low, high, _POINTS)
        first, second = (_mean(c, sizes, measure, names) for c in (one, two))
        values.append(first - second)
    return TaskDifference(
        *mean_interval(np.stack(values)),
        least_bytes=min(least),
        most_bytes=max(most),
        seeds=len(pairs),
        photographs=len(names),
    )


def _paired(
    method: dict[int, Curve], other: dict[int, Curve]
) -> Iterator[tuple[Curve, Curve]]:
    """Curves of equal seeds; a single one is paired with each of the other side."""
    if len(method) == 1 or len(other) == 1:
        for one in method.values():
            for two in other.values():
                yield one, two
        return
    for seed in sorted(method.keys() & other.keys()):
        yield method[seed], other[seed]


def _mean(
    curve: Curve, sizes: np.ndarray, measure: str, names: list[str]
) -> np.ndarray:
    """f64[photographs], over all sizes."""
    place = {name: i for i, name in enumerate(curve.photographs)}
    return curve.at(sizes, measure).mean(0)[[place[name] for name in names]]
