"""How sure the numbers are: the images of a test set resampled, and the seeds.

A mean over 24 photographs is of these photographs. Each draw takes as many of them,
with replacement, and recomputes what was concluded: RD losses, who is on the frontier,
BD-rates. All points of a draw have the same images, so that what all find easy or hard
cancels out. Where an architecture was trained with several seeds, each draw is of one
of its trainings: the interval is of the architecture, not of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.bd_rate_draws import bd_rates
from analysis.codec_points import CLASSICAL, codec_points
from analysis.comparability import compares
from analysis.frontier import pareto_mask
from analysis.measures import MEASURES, compared_within, measures_of
from analysis.tables import (
    CODEC_SETTINGS,
    POINT,
    columns,
    read_tables,
    typed,
    write_table,
)

CONFIDENCE = 0.95
SEED = 0
_MOST_DRAWS, _LEAST_DRAWS = 1000, 200
_POINT_DRAWS = 2_000_000  # many points have fewer draws
_SOUND = 0.9  # share of the draws that must have a BD-rate
_SETTINGS = list(CODEC_SETTINGS)
_GROUP = ["dataset", *_SETTINGS]


@dataclass(frozen=True)
class _Group:
    """Points that were measured on the same images, of one image set and codec.

    Attributes:
      points: rows of `frontier`, in the order of the arrays below.
      weights: f[d,n], how often each image is drawn, over n.
      values: measure of images -> f[points,n].
      trainings: i[points,d], the position of the training that each draw is of.
      seeds: i[points], how many it chooses from.
    """

    points: pd.DataFrame
    weights: np.ndarray
    values: dict[str, np.ndarray]
    trainings: np.ndarray
    seeds: np.ndarray

    def draws(self, name: str) -> np.ndarray:
        """f[points,d] means of a measure over the images of each draw."""
        means = self.values[name] @ self.weights.T
        return np.take_along_axis(means, self.trainings, axis=0)


def resample(out: Path, objectives: Sequence[str]) -> None:
    """Completes OUT/tables by what `resampled` finds.

    Raises:
      DataError: there are no tables.
      StorageError: they cannot be written.
    """
    found = resampled(read_tables(out), objectives)
    for name, table in zip(("intervals", "curves"), found, strict=True):
        write_table(out, name, typed(name, table))


def resampled(
    tables: dict[str, pd.DataFrame], objectives: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the tables become with their uncertainty.

    Args:
      tables: of `analysis.gather.gather`.
      objectives: of the frontier.

    Returns:
      `intervals` and `curves`, columns as in `analysis.tables.columns`.
    """
    intervals, curves = [], tables["curves"].copy()
    for group in _groups(tables, objectives):
        anchors = _Anchors(group, tables["codecs"])
        intervals.append(_intervals(group, objectives, anchors))
        _fill(curves, group, anchors)
    table = pd.concat(intervals) if intervals else pd.DataFrame()
    return table.reindex(columns=list(columns("intervals"))), curves


def _groups(
    tables: dict[str, pd.DataFrame], objectives: Sequence[str]
) -> Iterator[_Group]:
    frontier = tables["frontier"]
    runs = tables["runs"].set_index("run_id")
    images = tables["rate_distortion"].merge(
        tables["points"][[*POINT, "lmbda"]], on=list(POINT)
    )
    images["distortion"] = images["run_id"].map(runs["distortion"])
    names = {"rd_loss", "bpp", "psnr_db"}
    names |= {m.name for m in measures_of(objectives) if m.of == "image"}
    measured = {name: MEASURES[name].column(images) for name in sorted(names)}
    images = images.assign(**{f"{name}.value": v for name, v in measured.items()})
    rows = frontier[(frontier["status"] == "ok") & frontier["bpp"].notna()]
    for (*keys, _), points in rows.groupby([*_GROUP, "image_set"], sort=False):
        own = images.merge(points[list(POINT)].assign(at=range(len(points))))
        own = own[(own[_GROUP] == keys).all(axis=1)]
        photographs, which = np.unique(own["image"], return_inverse=True)
        values = {}
        for name in names:
            values[name] = np.full((len(points), len(photographs)), np.nan)
            values[name][own["at"], which] = own[f"{name}.value"]
        draws = min(max(_POINT_DRAWS // len(points), _LEAST_DRAWS), _MOST_DRAWS)
        size = len(photographs)
        random = np.random.default_rng(SEED)
        weights = random.multinomial(size, np.full(size, 1 / size), draws) / size
        yield _Group(points, weights, values, *_trainings(points, runs, draws, random))


def _trainings(
    points: pd.DataFrame, runs: pd.DataFrame, draws: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which training each draw of a point is of, among those of equal architecture,
    recipe and data; and how many there are."""
    recipes = runs["recipe_json"].map(_without_seed)
    alike = points[["arch_id", "rate", "lmbda"]].assign(
        rates=points.groupby("run_id")["rate"].transform("size"),
        recipe=points["run_id"].map(recipes).to_numpy(),
        data=points["run_id"].map(runs["data_sha256"]).to_numpy(),
    )
    groups = alike.groupby(list(alike), dropna=False)
    seeds = groups["rate"].transform("size").to_numpy()
    trainings = np.repeat(np.arange(len(points))[:, None], draws, axis=1)
    for positions in groups.indices.values():
        if len(positions) > 1:
            trainings[positions] = random.choice(positions, draws)
    return trainings, seeds


def _without_seed(recipe_json: str) -> str:
    return json.dumps({k: v for k, v in json.loads(recipe_json).items() if k != "seed"})


def _intervals(
    group: _Group, objectives: Sequence[str], anchors: _Anchors
) -> pd.DataFrame:
    losses = group.draws("rd_loss")
    low, high = _ends(losses)
    bd_rate_low, bd_rate_high = _bd_rate_ends(group, anchors)
    points = group.points
    return points[[*POINT, *_GROUP]].assign(
        rd_loss_low=low,
        rd_loss_high=high,
        bd_rate_low_percent=bd_rate_low,
        bd_rate_high_percent=bd_rate_high,
        frontier_probability=_on_frontier(group, objectives),
        draws=losses.shape[1],
        seeds=group.seeds,
    )


def _ends(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail], axis=-1)
    return low, high


def _on_frontier(group: _Group, objectives: Sequence[str]) -> np.ndarray:
    """Share of the draws in which each point is on the frontier; NaN for points that
    do not compare."""
    points, chosen = group.points, measures_of(objectives)
    within = compared_within(objectives)
    draws = len(group.weights)
    values = [
        group.draws(m.name)
        if m.of == "image"
        else np.repeat(points[m.name].to_numpy(float)[:, None], draws, axis=1)
        for m in chosen
    ]
    minimise = [m.minimise for m in chosen]
    share = np.full(len(points), np.nan)
    comparable = compares(points["differs_in"], within).to_numpy()
    keys = points[within] if within else pd.DataFrame({"all": 0}, index=points.index)
    numbers = keys.groupby(list(keys), dropna=False).ngroup().to_numpy()
    for number in np.unique(numbers):
        own = np.flatnonzero((numbers == number) & comparable)
        if len(own):
            cube = np.stack([value[own] for value in values], axis=2)
            masks = [pareto_mask(cube[:, draw], minimise) for draw in range(draws)]
            share[own] = np.mean(masks, axis=0)
    return share


class _Anchors:
    """Curves of a group's draws, and those that they are compared with.

    Of published anchors nobody has the images: they cannot be resampled alike.
    """

    def __init__(self, group: _Group, codecs: pd.DataFrame):
        points = group.points.reset_index(drop=True)
        self._bpp, self._psnr = group.draws("bpp"), group.draws("psnr_db")
        self._members = points.groupby("curve_id").indices
        named = points.dropna(subset=["name"]).drop_duplicates("name")
        self._curves = dict(zip(named["name"], named["curve_id"], strict=True))
        dataset = str(points["dataset"].iloc[0])
        self._classical = _classical_draws(codecs, dataset, group.weights)

    def curve(self, curve_id: str) -> tuple[np.ndarray, np.ndarray]:
        """(bpp, PSNR), f[d,n]."""
        which = self._members[curve_id]
        return self._bpp[which].T, self._psnr[which].T

    def anchor(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Likewise, of a classical codec or a model; None where none was measured."""
        if name in self._classical:
            return self._classical[name]
        curve_id = self._curves.get(name, name)
        return self.curve(curve_id) if curve_id in self._members else None


def _bd_rate_ends(group: _Group, anchors: _Anchors) -> tuple[np.ndarray, np.ndarray]:
    """Of the measure `bd_rate_percent`, for each point that has it."""
    points = group.points.reset_index(drop=True)
    low, high = np.full((2, len(points)), np.nan)
    compared = points[points["bd_rate_percent"].notna()]
    for name, own in compared.groupby("bd_anchor"):
        anchor = anchors.anchor(str(name))
        if anchor is None:
            continue
        members = own.groupby("curve_id").indices
        curves = {curve_id: anchors.curve(str(curve_id)) for curve_id in members}
        psnr = [anchor[1], *(curve[1] for curve in curves.values())]
        window = (
            np.max([values.min(axis=1) for values in psnr], axis=0),
            np.min([values.max(axis=1) for values in psnr], axis=0),
        )
        for curve_id, curve in curves.items():
            ends = _sound_ends(bd_rates(*anchor, *curve, window))
            at = own.index[members[curve_id]]
            low[at], high[at] = ends
    return low, high


def _sound_ends(draws: np.ndarray) -> tuple[float, float]:
    """NaN where too many draws have no value."""
    sound = draws[np.isfinite(draws)]
    if len(sound) < _SOUND * len(draws):
        return np.nan, np.nan
    low, high = _ends(sound)
    return float(low), float(high)


def _fill(curves: pd.DataFrame, group: _Group, anchors: _Anchors) -> None:
    """Writes the intervals of BD-rates of this group's curves into their rows."""
    keys = group.points[_GROUP].iloc[0]
    own = (curves[_GROUP] == keys).all(axis=1) & curves["bd_rate_percent"].notna()
    own &= curves["curve_id"].isin(group.points["curve_id"])
    rows = curves[own]
    found = np.full((len(rows), 2), np.nan)
    for k, (name, curve_id) in enumerate(
        zip(rows["anchor"], rows["curve_id"], strict=True)
    ):
        anchor = anchors.anchor(name)
        if anchor is not None:
            found[k] = _sound_ends(bd_rates(*anchor, *anchors.curve(curve_id)))
    curves.loc[rows.index, ["bd_rate_low_percent", "bd_rate_high_percent"]] = found


def _classical_draws(
    codecs: pd.DataFrame, dataset: str, weights: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> (bpp, PSNR), f[d,settings], of those on as many images."""
    own = codecs[(codecs["codec_class"] == CLASSICAL) & (codecs["dataset"] == dataset)]
    found = {}
    for label, points in codec_points(own).groupby("label", sort=False):
        images = own[own["codec_id"] == points["codec_id"].iloc[0]]
        both = []
        for name in ("bpp_coded", "psnr_db"):
            table = images.pivot_table(name, "setting", "image")
            if table.shape[1] == weights.shape[1] and table.notna().all(axis=None):
                both.append(weights @ table.sort_index(axis=1).to_numpy().T)
        if len(both) == 2:
            found[str(label)] = (both[0], both[1])
    return found
