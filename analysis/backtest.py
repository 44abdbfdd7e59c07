"""Proposals against chance, on architectures whose results are known.

Some are taken at random and counted as trained; the others are hidden, and half of all
are reached by proposals, by chance, or by taking the cheapest. Each start is the same
for all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.frontier import hypervolume, pareto_mask
from analysis.known import Known
from analysis.proposals import MIN_TRAINED, Outlook, bounds
from rdc.errors import DataError

START, SHARE = 0.25, 0.5
PROPOSED, TOGETHER, RANDOM, CHEAPEST = "one by one", "together", "random", "cheapest"
ORDERS = (PROPOSED, TOGETHER, RANDOM, CHEAPEST)
MIN_ARCHITECTURES = 4 * MIN_TRAINED


def backtest(known: Known, seeds: int) -> pd.DataFrame:
    """What half of the trainings find.

    Args:
      known: of a finished sweep.
      seeds: starts at random.

    Returns:
      Rows `seed order hypervolume frontier cost`; of the whole study's: the share of
      the hypervolume over the logarithms of cost and loss, mean over the rates, that
      of the frontier's points, and of the sum of the decoders' cost, to which that of
      trainings is roughly proportional.

    Raises:
      DataError: too few architectures.
    """
    study = _Study(known)
    count = len(study.arch_ids)
    if count < MIN_ARCHITECTURES:
        raise DataError(
            f"a backtest needs {MIN_ARCHITECTURES} measured architectures", count
        )
    first, half = int(count * START), int(count * SHARE)
    rows = []
    for seed in range(seeds):
        shuffled = list(np.random.default_rng(seed).permutation(study.arch_ids))
        start, rest = shuffled[:first], shuffled[first:]
        more = half - first
        found = {
            PROPOSED: _one_by_one(study, start, more, seed),
            TOGETHER: start + study.proposed(start, more, seed),
            RANDOM: shuffled[:half],
            CHEAPEST: start + sorted(rest, key=lambda a: study.costs[a])[:more],
        }
        rows += [
            {"seed": seed, "order": order, **study.shares(found[order])}
            for order in ORDERS
        ]
    return pd.DataFrame(rows)


def left_out(known: Known) -> pd.DataFrame:
    """How well each architecture's loss is predicted from all others'.

    Returns:
      Rows `lmbda arch_id error is_inside`: the logarithm of measured over predicted
      loss, and whether it lies inside the interval of `analysis.proposals`.
    """
    study = _Study(known)
    rows = []
    for arch_id in study.arch_ids:
        outlook = study.outlook([a for a in study.arch_ids if a != arch_id], 0)
        own = known.points[known.points["arch_id"] == arch_id]
        for lmbda, losses in own.groupby("lmbda")["rd_loss"]:
            drawn = outlook.losses[lmbda][:, 0]
            low, high = bounds(drawn)
            for loss in np.log(losses):
                rows.append(
                    {
                        "lmbda": lmbda,
                        "arch_id": arch_id,
                        "error": loss - np.median(drawn),
                        "is_inside": low <= loss <= high,
                    }
                )
    return pd.DataFrame(rows)


def _one_by_one(study: _Study, start: Sequence[str], more: int, seed: int) -> list[str]:
    trained = list(start)
    for _ in range(more):
        trained += study.proposed(trained, 1, seed)
    return trained


class _Study:
    """All results, and what parts of the architectures come to."""

    def __init__(self, known: Known):
        measured = set(known.points["arch_id"])
        table = known.architectures
        table = table[table["arch_id"].isin(measured)]
        self._known = replace(known, architectures=table)
        self.costs: Mapping[str, float] = dict(
            zip(table["arch_id"], table[known.cost], strict=True)
        )
        self.arch_ids = sorted(self.costs)
        self._rates = {}
        for lmbda, points in known.points.groupby("lmbda"):
            costs = points["arch_id"].map(self.costs)
            values = np.log(np.column_stack([costs, points["rd_loss"]]))
            mask = pareto_mask(values)
            # A tenth beyond the frontier's ends, so that they count as well.
            reference = values[mask].max(axis=0) + 0.1
            self._rates[lmbda] = points["arch_id"].to_numpy(), values, mask, reference

    def proposed(self, trained: Sequence[str], number: int, seed: int) -> list[str]:
        chosen = self.outlook(trained, seed).choose(number)
        return [choice.arch_id for choice in chosen]

    def outlook(self, trained: Sequence[str], seed: int) -> Outlook:
        """As if these alone were trained."""
        points = self._known.points
        hidden = tuple(a for a in self.arch_ids if a not in trained)
        known = replace(
            self._known,
            points=points[points["arch_id"].isin(trained)],
            untrained=hidden,
        )
        return Outlook.of(known, seed)

    def shares(self, trained: Sequence[str]) -> dict[str, float]:
        volumes, fronts = [], []
        for ids, values, mask, reference in self._rates.values():
            own = np.isin(ids, trained)
            whole = hypervolume(values, reference)
            volumes.append(hypervolume(values[own], reference) / whole)
            fronts.append((own & mask).sum() / mask.sum())
        return {
            "hypervolume": float(np.mean(volumes)),
            "frontier": float(np.mean(fronts)),
            "cost": sum(self.costs[a] for a in trained) / sum(self.costs.values()),
        }
