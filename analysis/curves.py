"""The `curves` table: how much rate each curve saves against each anchor.

Anchors are the classical codecs that were measured in the same OUT on the same images,
on the 24 Kodak images the published curves, and a model of the sweep that was named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import baselines
from analysis.bd_rate import MIN_POINTS, bd_rate, overlap_db
from analysis.codec_points import classical_points
from analysis.frontier_table import SETTINGS
from analysis.image_sets import image_set_id
from analysis.tables import columns
from rdc.errors import DataError
from rdc.specs.base import unknown_name

INTERPOLATION = "pchip"
_KEYS = ["curve_id", "dataset", *SETTINGS]


@dataclass(frozen=True)
class Anchor:
    """A curve to compare with: `source` is `measured`, `published` or `model`."""

    name: str
    source: str
    bpp: np.ndarray
    psnr_db: np.ndarray


def curves_table(
    frontier: pd.DataFrame, codecs: pd.DataFrame, anchor: str | None = None
) -> pd.DataFrame:
    """BD-rates.

    Args:
      frontier, codecs: the tables of these names.
      anchor: a name that one of the anchors must have; or that of an architecture or
        a `curve_id` of the sweep, which is one more anchor then.

    Returns:
      One row per curve, image set, codec settings and anchor; one with a `reason` and
      without anchor where there is none.

    Raises:
      ConfigError: nothing has the name `anchor`.
    """
    measured = frontier[frontier["bpp"].notna()]
    groups = measured.groupby(_KEYS, sort=False)
    curves = groups[["run_id", "image_set"]].first().reset_index()
    curves["points"] = groups.size().to_numpy()
    curves["image_sets"] = _distinct(measured, groups.ngroup(), "image_set")
    runs = _distinct(measured, groups.ngroup(), "run_id")
    curves["run_id"] = curves["run_id"].where(runs == 1)
    classical = classical_points(codecs)
    pairs = set(zip(curves["dataset"], curves["image_set"], strict=True))
    anchors = [
        (pair, a) for pair in sorted(pairs) for a in anchors_of(*pair, classical)
    ]
    if anchor is not None and anchor not in {a.name for _, a in anchors}:
        models = [
            (pair, a)
            for pair in sorted(pairs)
            if (a := model_anchor(anchor, *pair, frontier))
        ]
        if not models:
            own = frontier["name"].dropna().unique()
            raise unknown_name("anchor", anchor, [*{a.name for _, a in anchors}, *own])
        anchors += models
    described = pd.DataFrame(
        [(*pair, i, a.name, a.source) for i, (pair, a) in enumerate(anchors)],
        columns=["dataset", "image_set", "which", "anchor", "anchor_source"],
    )
    table = curves.merge(described.astype(_DESCRIBED), "left", ["dataset", "image_set"])
    known = table["anchor"].notna()
    table["interpolation"] = table["anchor"].where(known).mask(known, INTERPOLATION)
    counts = table["points"].astype(str)
    few = "it has " + counts + f" of at least {MIN_POINTS} points"
    table["reason"] = few.where(table["points"] < MIN_POINTS)
    table.loc[table["image_sets"] > 1, "reason"] = _MIXED
    table.loc[~known, "reason"] = "no anchor was measured on these images"
    table = table.reindex(columns=[*columns("curves"), "which"])
    for i in table.index[table["reason"].isna()]:
        points = groups.get_group(tuple(table.loc[i, _KEYS]))
        against = anchors[int(table.loc[i, "which"])][1]
        for name, value in _comparison(against, *arrays(points)).items():
            table.loc[i, name] = value
    return table[list(columns("curves"))]


_MIXED = "its points are means over different images"
_DESCRIBED = {"dataset": "str", "image_set": "str", "anchor": "str"}


def _distinct(rows: pd.DataFrame, group: pd.Series, name: str) -> np.ndarray:
    """How many values of a column each group has, by number of the group."""
    pairs = pd.DataFrame({"group": group, name: rows[name]}).drop_duplicates()
    return np.bincount(pairs["group"], minlength=group.max() + 1 if len(group) else 0)


def anchors_of(dataset: str, image_set: str, codecs: pd.DataFrame) -> list[Anchor]:
    """What curves on these images compare with.

    Args:
      codecs: `analysis.codec_points.classical_points`.
    """
    same = codecs[(codecs["dataset"] == dataset) & (codecs["image_set"] == image_set)]
    anchors = [
        Anchor(str(label), "measured", *arrays(rows))
        for label, rows in same.groupby("label", sort=False)
    ]
    if image_set == image_set_id(baselines.KODAK_IMAGES):
        anchors += [
            Anchor(codec, "published", *arrays(baselines.kodak_curve(codec)))
            for codec in baselines.LABELS
        ]
    return anchors


def model_anchor(
    name: str, dataset: str, image_set: str, frontier: pd.DataFrame
) -> Anchor | None:
    """A model's curve on these images, by its architecture's name or its `curve_id`.

    Of several codec settings, the first; None where nothing was measured.
    """
    own = (frontier["name"] == name) | (frontier["curve_id"] == name)
    own &= (frontier["dataset"] == dataset) & (frontier["image_set"] == image_set)
    found = frontier[own & frontier["bpp"].notna()]
    if found.empty:
        return None
    (_, rows), *_ = found.groupby(_KEYS, sort=False)
    return Anchor(name, "model", *arrays(rows))


def anchor_named(
    name: str,
    dataset: str,
    image_set: str,
    codecs: pd.DataFrame,
    frontier: pd.DataFrame,
) -> Anchor:
    """The one that rows of `curves` name.

    Raises:
      DataError: there is none.
    """
    for anchor in anchors_of(dataset, image_set, codecs):
        if anchor.name == name:
            return anchor
    model = model_anchor(name, dataset, image_set, frontier)
    if model is None:
        raise DataError("an anchor has a curve on the same images", name)
    return model


def anchor_label(anchor: str) -> str:
    """What a reader calls an anchor."""
    return baselines.LABELS.get(anchor, anchor)


def arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows["bpp"].to_numpy(float), rows["psnr_db"].to_numpy(float)


def _comparison(
    anchor: Anchor, bpp: np.ndarray, psnr_db: np.ndarray
) -> dict[str, object]:
    try:
        percent = bd_rate(anchor.bpp, anchor.psnr_db, bpp, psnr_db, INTERPOLATION)
    except DataError as error:
        return {"reason": str(error)}
    low, high = overlap_db(anchor.psnr_db, psnr_db)
    return {
        "bd_rate_percent": percent,
        "range_low_db": low,
        "range_high_db": high,
        "overlap_points": int(((psnr_db >= low) & (psnr_db <= high)).sum()),
    }
