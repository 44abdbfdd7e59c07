"""The `curves` table: how much rate each curve saves against each anchor.

Anchors are the classical codecs that were measured in the same OUT on the same images,
on the 24 Kodak images the published curves, and a model of the sweep that was named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import baselines
from analysis.bd_rate import MIN_POINTS, bd_rate
from analysis.bd_rate_draws import bd_rates
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
    bpp, psnr_db = arrays(measured)
    comparable = table[table["reason"].isna()]
    for (which, _), own in comparable.groupby(["which", "points"]):
        keys = own[_KEYS].itertuples(index=False, name=None)
        points = np.stack([groups.indices[key] for key in keys])
        against = anchors[int(which)][1]
        for name, values in _comparisons(against, bpp[points], psnr_db[points]).items():
            table.loc[own.index, name] = values
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


def rates_against(
    anchor: Anchor,
    bpp: np.ndarray,
    psnr_db: np.ndarray,
    psnr_range_db: tuple[float, float] | None = None,
) -> np.ndarray:
    """BD-rates of curves of equally many points, as `bd_rate`; NaN where it raises.

    Args:
      bpp, psnr_db: f[curves,points].
      psnr_range_db: lower and upper end; each curve's overlap when left out.
    """
    sound = (np.isfinite(bpp) & (bpp > 0) & np.isfinite(psnr_db)).all(axis=1)
    sound &= len(anchor.bpp) >= MIN_POINTS
    bpp, psnr_db, count = bpp[sound], psnr_db[sound], sound.sum()
    anchor_bpp = np.tile(anchor.bpp, (count, 1))
    anchor_psnr_db = np.tile(anchor.psnr_db, (count, 1))
    window = None
    if psnr_range_db is not None:
        window = np.full(count, psnr_range_db[0]), np.full(count, psnr_range_db[1])
    found = np.full(len(sound), np.nan)
    if sound.any():
        found[sound] = bd_rates(anchor_bpp, anchor_psnr_db, bpp, psnr_db, window)
    return found


def _comparisons(
    anchor: Anchor, bpp: np.ndarray, psnr_db: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of `curves` for curves of equally many points, f[curves,points]."""
    percent = rates_against(anchor, bpp, psnr_db)
    low = np.maximum(psnr_db.min(axis=1), anchor.psnr_db.min())
    high = np.minimum(psnr_db.max(axis=1), anchor.psnr_db.max())
    inside = (psnr_db >= low[:, None]) & (psnr_db <= high[:, None])
    known = np.isfinite(percent)
    reasons = np.full(len(bpp), None, object)
    for i in np.flatnonzero(~known):
        try:
            bd_rate(anchor.bpp, anchor.psnr_db, bpp[i], psnr_db[i], INTERPOLATION)
        except DataError as error:
            reasons[i] = str(error)
    return {
        "bd_rate_percent": percent,
        "range_low_db": np.where(known, low, np.nan),
        "range_high_db": np.where(known, high, np.nan),
        "overlap_points": np.where(known, inside.sum(axis=1), np.nan),
        "reason": reasons,
    }
