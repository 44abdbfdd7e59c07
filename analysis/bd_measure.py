"""Rates against an anchor as measures: BD-rate of a point's curve, and its own rate.

On one image set with one way of coding, all are against one anchor, BD-rates over one
range of PSNR, since others do not compare; a curve without it has a reason in place of
a number. A point's own rate is against the anchor's at its PSNR.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.bd_rate import bd_rate, rates_at_equal_psnr
from analysis.codec_points import classical_points
from analysis.curves import (
    Anchor,
    anchor_label,
    anchor_named,
    arrays,
    rates_against,
)
from analysis.frontier_table import SETTINGS
from rdc.errors import DataError

_USUAL = "bpg444-tfc"
_GROUP = ["dataset", *SETTINGS]


def with_bd_rates(
    frontier: pd.DataFrame,
    curves: pd.DataFrame,
    codecs: pd.DataFrame,
    anchor: str | None = None,
) -> pd.DataFrame:
    """Fills the columns `bd_rate_percent`, `bd_anchor`, `bd_window` and `bd_gap`, and
    `anchor_rate_percent`.

    Args:
      frontier, curves, codecs: the tables of these names.
      anchor: as in `curves`; left out, `usual_anchor` of each group.
    """
    parts = [
        _group(frontier, rows, codecs, anchor)
        for _, rows in curves.groupby(_GROUP, sort=False)
    ]
    keys = ["curve_id", *_GROUP]
    columns = ["bd_rate_percent", "bd_anchor", "bd_window", "bd_gap"]
    if parts:
        found = pd.concat(parts)[[*keys, *columns]]
    else:  # with keys of the same types
        found = frontier[keys].head(0).assign(**dict.fromkeys(columns, None))
    table = frontier.drop(columns=columns, errors="ignore")
    table = table.merge(found, "left", keys)
    table["anchor_rate_percent"] = _anchor_rates(table, codecs)
    unmeasured = table["bpp"].isna()
    table.loc[unmeasured, columns] = None
    gap = ~unmeasured & table["bd_rate_percent"].isna() & table["bd_gap"].isna()
    table.loc[gap, "bd_gap"] = f"{anchor} was not measured on these images"
    return table.astype({"bd_rate_percent": float})


def _anchor_rates(table: pd.DataFrame, codecs: pd.DataFrame) -> pd.Series:
    """Of points on the images that their anchor has, within its range of PSNR."""
    found = pd.Series(np.nan, index=table.index)
    rows = table[table["bpp"].notna() & table["bd_anchor"].notna()]
    if rows.empty:
        return found
    classical = classical_points(codecs)
    for (name, dataset, image_set), points in rows.groupby(
        ["bd_anchor", "dataset", "image_set"]
    ):
        try:
            anchor = anchor_named(name, dataset, image_set, classical, table)
            found[points.index] = rates_at_equal_psnr(
                anchor.bpp, anchor.psnr_db, *arrays(points)
            )
        except DataError:
            continue  # `bd_gap` says why
    return found


def _group(
    frontier: pd.DataFrame, curves: pd.DataFrame, codecs: pd.DataFrame, name: str | None
) -> pd.DataFrame:
    """A row for each curve of a group, against one anchor."""
    name = name or usual_anchor(curves)
    table = curves[curves["anchor"].isna() | (curves["anchor"] == name)].copy()
    table = table.assign(bd_anchor=name, bd_window=None, bd_gap=table["reason"])
    table["bd_rate_percent"] = np.nan
    compared = table[table["range_low_db"].notna()]
    if compared.empty:
        return table
    dataset = str(table["dataset"].iloc[0])
    points = frontier[frontier["bpp"].notna()].merge(table[_GROUP].head(1))
    sets = points.groupby("curve_id")["image_set"].first()
    usual = str(sets[compared["curve_id"]].mode().iloc[0])
    same = (compared["curve_id"].map(sets) == usual).to_numpy()
    table.loc[compared.index[~same], "bd_gap"] = "its images are not those of most"
    compared = compared[same]
    kept, window = common_range(compared)
    if kept.empty:
        table.loc[compared.index, "bd_gap"] = "the curves have no range in common"
        return table
    low, high = window
    text = f"{low:.2f} to {high:.2f} dB"
    classical = classical_points(codecs)
    found = anchor_named(str(name), dataset, usual, classical, frontier)
    table.loc[compared.index, "bd_gap"] = f"its curve and the anchor's lack {text}"
    bpp, psnr_db = arrays(points)
    members = points.reset_index(drop=True).groupby("curve_id").indices
    for _, own in kept.groupby("points"):
        at = np.stack([members[curve_id] for curve_id in own["curve_id"]])
        table.loc[own.index, "bd_rate_percent"] = rates_against(
            found, bpp[at], psnr_db[at], window
        )
    table.loc[kept.index, "bd_gap"] = None
    interpolation = kept["interpolation"].iloc[0]
    table.loc[kept.index, "bd_window"] = (
        f"{anchor_label(found.name)} ({found.source}), {interpolation}, {text}"
    )
    return table


def rate_over(
    anchor: Anchor, points: pd.DataFrame, window: tuple[float, float]
) -> float:
    """BD-rate of a curve's points over a range that it and the anchor have."""
    return bd_rate(anchor.bpp, anchor.psnr_db, *arrays(points), psnr_range_db=window)


def usual_anchor(curves: pd.DataFrame) -> str | None:
    """BPG, where it compares; else the one that most curves have a number against, of
    equals the first, which is a measured one; None without any."""
    anchors = curves.loc[curves["bd_rate_percent"].notna(), "anchor"]
    if anchors.empty:
        return None
    if (anchors == _USUAL).any():
        return _USUAL
    return str(anchors.value_counts(sort=False).idxmax())


def common_range(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[float, float]]:
    """(curves that have it, a range of PSNR): long, and above all of many curves.

    Args:
      rows: with `range_low_db` and `range_high_db`.
    """
    low, high = (rows[f"range_{end}_db"].to_numpy(float) for end in ("low", "high"))
    best, window, ends = 0.0, (0.0, 0.0), np.unique(high)
    for begin in np.unique(low):
        reached = np.sort(high[low <= begin])
        counts = len(reached) - np.searchsorted(reached, ends)
        scores = counts**2 * (ends - begin)
        most = scores.argmax()
        if scores[most] > best:
            best, window = scores[most], (float(begin), float(ends[most]))
    has = (low <= window[0]) & (high >= window[1]) & (best > 0)
    return rows[has], window
