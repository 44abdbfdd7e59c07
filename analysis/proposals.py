"""Which architectures to train next: those that most likely move the frontier.

The frontier of one rate is a step line, RD loss over decoder cost. What an architecture
gains is how much lower that line would lie with it: the mean difference of the
logarithm of the loss, over the logarithm of the cost and over all rates. A gain of 1 %
is an RD loss lower by 1 % at every cost of the study, or by 2 % at half of them.

Several architectures are chosen one after the other: each where it gains most beside
those before it, in possible outcomes (`analysis.surrogate`) of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.known import Known
from analysis.surrogate import Chance, Surrogate, architecture_features
from rdc.errors import DataError

CONFIDENCE = 0.8
MIN_TRAINED = 4  # architectures, at a rate
_DRAWS = 256
_PLACES = 128  # along the logarithm of cost, where lines are compared
_BEFORE = 0.1  # left of its first point, a line lies so much above it
_MOST = np.log(3)  # and nowhere more above its best: failed trainings make no frontier


def propose(known: Known, number: int, seed: int = 0) -> pd.DataFrame:
    """The untrained architectures that are expected to gain most, best first.

    Returns:
      At most `number` rows: `arch_id`, the gain in per cent with its interval
      (`gain_percent gain_low_percent gain_high_percent`), and per rate
      `rd_loss.LMBDA`, `rd_loss_low.LMBDA` and `rd_loss_high.LMBDA`.

    Raises:
      DataError: too few models to learn from, or nothing left to propose.
    """
    outlook = Outlook.of(known, seed)
    rows = []
    for place in outlook.choose(number):
        gains = 100 * place.gains
        row = {"arch_id": place.arch_id, "gain_percent": float(gains.mean())}
        low, high = bounds(gains)
        row |= {"gain_low_percent": low, "gain_high_percent": high}
        for lmbda, drawn in outlook.losses.items():
            losses = np.exp(drawn[:, outlook.arch_ids.index(place.arch_id)])
            low, high = bounds(losses)
            row |= {
                f"rd_loss.{lmbda:g}": float(np.median(losses)),
                f"rd_loss_low.{lmbda:g}": low,
                f"rd_loss_high.{lmbda:g}": high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Choice:
    """An architecture, and what it gains in each possible outcome."""

    arch_id: str
    gains: np.ndarray


@dataclass(frozen=True)
class Outlook:
    """Possible outcomes of training each candidate.

    Attributes:
      arch_ids: of the candidates, the untrained architectures.
      places: logarithms of cost, ascending.
      first: index of the first of them that each candidate is not dearer than.
      lines: by lambda, the measured frontier at these places; logarithms.
      losses: by lambda, f[draws, candidates]; logarithms.
    """

    arch_ids: tuple[str, ...]
    places: np.ndarray
    first: np.ndarray
    lines: dict[float, np.ndarray]
    losses: dict[float, np.ndarray]

    @classmethod
    def of(cls, known: Known, seed: int = 0) -> Outlook:
        if not known.untrained:
            raise DataError(
                "a proposal is of untrained architectures",
                "a grid with none",
                "take a larger grid, and name this sweep in learn_from",
            )
        rates = {
            float(lmbda): points
            for lmbda, points in known.points.groupby("lmbda")
            if points["arch_id"].nunique() >= MIN_TRAINED
        }
        if not rates:
            raise DataError(
                f"a proposal learns from {MIN_TRAINED} trained architectures",
                known.points["arch_id"].nunique(),
                "train some first; a cheap one of each family tells most",
            )
        table = known.architectures.reset_index(drop=True)
        rows = pd.Series(table.index, table["arch_id"])
        features = architecture_features(table)
        costs = np.log(table[known.cost].to_numpy(float))
        places = np.linspace(costs.min(), costs.max(), _PLACES)
        wanted = rows[list(known.untrained)].to_numpy()
        learned = max(len(points) for points in rates.values())
        chance = Chance.of(_DRAWS, features.shape[1], len(wanted), learned, seed)
        lines, losses = {}, {}
        for lmbda, points in rates.items():
            own = rows[points["arch_id"]].to_numpy()
            observed = points["rd_loss"].to_numpy(float)
            surrogate = Surrogate.fit(features[own], observed)
            losses[lmbda] = np.log(surrogate.draw(features[wanted], chance))
            lines[lmbda] = line(costs[own], np.log(observed), places)
        first = np.searchsorted(places, costs[wanted] - 1e-9)
        return cls(known.untrained, places, first, lines, losses)

    def choose(self, number: int) -> list[Choice]:
        """The candidate of the largest mean gain, the next one beside it, and so on."""
        lines = {
            lmbda: np.repeat(own[None], _DRAWS, axis=0)
            for lmbda, own in self.lines.items()
        }
        chosen: list[Choice] = []
        left = list(range(len(self.arch_ids)))
        while left and len(chosen) < number:
            gains = [self._gains(index, lines) for index in left]
            best = int(np.argmax([own.mean() for own in gains]))
            index = left.pop(best)
            chosen.append(Choice(self.arch_ids[index], gains[best]))
            first = self.first[index]
            for lmbda, own in lines.items():
                drawn = self.losses[lmbda][:, index, None]
                own[:, first:] = np.minimum(own[:, first:], drawn)
        return chosen

    def _gains(self, index: int, lines: dict[float, np.ndarray]) -> np.ndarray:
        """f[draws]: how much lower the lines lie on average with this candidate."""
        first = self.first[index]
        gains = [
            np.maximum(own[:, first:] - self.losses[lmbda][:, index, None], 0).sum(1)
            for lmbda, own in lines.items()
        ]
        return np.mean(gains, axis=0) / len(self.places)


def line(costs: np.ndarray, losses: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The lowest loss of what costs no more than each place.

    Cheaper than all, it is a tenth above the first: so much a cheaper point may gain.
    """
    order = np.argsort(costs, kind="stable")
    lowest = np.minimum.accumulate(losses[order])
    dearer = np.searchsorted(costs[order], places + 1e-9)
    steps = np.concatenate([[lowest[0] + _BEFORE], lowest])
    return np.minimum(steps, lowest[-1] + _MOST)[dearer]


def bounds(values: np.ndarray) -> tuple[float, float]:
    """Between which `CONFIDENCE` of the values lie."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
