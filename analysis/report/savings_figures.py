"""Rate saved against an anchor: as one number over cost, and over quality.

Figures 1 and 3 of Minnen & Johnston 2023, of any sweep with whole curves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator

from analysis.bd_measure import common_range, rate_over
from analysis.bd_rate import overlap_db, rates_at_equal_psnr
from analysis.curves import Anchor, anchor_label, anchor_named, arrays
from analysis.measures import MEASURES
from analysis.reference_points import claimed_savings
from analysis.report.data import ReportData
from analysis.report.drawing import (
    empty,
    families,
    legend,
    log_axis,
    new_figure,
    reference_points,
    spread_labels,
)
from analysis.report.style import MARKERS

_MOST_CURVES = 10
_NOTHING = "missing: no curve of four points compares with an anchor"
_COST = MEASURES["kflops_per_px"]


def bd_rate_figure(data: ReportData) -> Figure:
    """BD-rate of each curve over its decoder's cost: one anchor, one range of PSNR.

    Rates saved over different ranges do not compare: curves without the range of most
    are left out, and counted in the title. Published savings against the same anchor
    are claims: their sources do not state the range.
    """
    figure, axes = new_figure(7.0, 4.3)
    rows, window, anchor = against_one_anchor(data)
    if anchor is None:
        empty(axes, rows, _NOTHING)
    else:
        claims = claimed_savings(anchor.name)
        families(axes, data.styles, rows, _COST.name, "bd_rate_percent")
        reference_points(axes, claims, _COST.name, "bd_rate_percent")
        costs = pd.concat([rows[_COST.name], claims[_COST.name]])
        log_axis(axes, "x", costs, room=1.25 if claims.empty else 1.8)
        axes.axhline(0, color="black", lw=0.8)
        legend(figure, axes)
        without = len(_compared(data)) - len(rows)
        note = f"; {without} curves without this range left out" if without else ""
        axes.set_title(
            f"{data.title}\nagainst {anchor_label(anchor.name)}, {window[0]:.1f} to "
            f"{window[1]:.1f} dB{note}"
        )
    axes.set(xlabel=_COST.title, ylabel="BD-rate (%), negative saves rate")
    spread_labels(figure, axes)
    return figure


def savings_figure(data: ReportData) -> Figure:
    """Rate saved at each PSNR, against the anchor of `bd_rate_figure`."""
    figure, axes = new_figure(7.0, 4.3)
    rows = _compared(data).sort_values("bd_rate_percent").head(_MOST_CURVES)
    anchor = _anchor(data, rows)
    if anchor is None:
        empty(axes, rows.iloc[:0], _NOTHING)
    else:
        styles = {style.family: style for style in data.styles}
        for row in rows.to_dict("records"):
            psnr_db, percent = saved(anchor, _curve(data, row))
            style = styles[row["family"]]
            axes.plot(
                psnr_db,
                percent,
                color=style.colour,
                marker=MARKERS[style.marker],
                markevery=[0, -1],
                lw=1.2,
                label=row["label"],
            )
        axes.axhline(0, color="black", lw=0.8, label=anchor_label(anchor.name))
        legend(figure, axes)
        axes.set_title(f"{data.title}\nthe {len(rows)} curves of least BD-rate")
    axes.set(
        xlabel="PSNR in RGB (dB), mean over images",
        ylabel="Rate against the anchor (%)",
    )
    return figure


def against_one_anchor(
    data: ReportData,
) -> tuple[pd.DataFrame, tuple[float, float], Anchor | None]:
    """Curves of the first image set with BD-rates that compare.

    Returns:
      A row per curve that has the range, `bd_rate_percent` over it; the range; the
      anchor, None where no curve has one.
    """
    rows, window = common_range(_compared(data))
    anchor = _anchor(data, rows)
    if anchor is None:
        return rows, window, None
    curves = [_curve(data, row) for row in rows.to_dict("records")]
    found = [rate_over(anchor, curve, window) for curve in curves]
    return rows.assign(bd_rate_percent=found), window, anchor


def saved(anchor: Anchor, curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(PSNR, per cent of rate against the anchor there), where both curves are.

    Logarithms of the rate are interpolated as BD-rate does it.
    """
    bpp, psnr_db = arrays(curve.sort_values("bpp"))
    at = np.linspace(*overlap_db(anchor.psnr_db, psnr_db), 60)
    own = np.exp(PchipInterpolator(psnr_db, np.log(bpp))(at))
    return at, rates_at_equal_psnr(anchor.bpp, anchor.psnr_db, own, at)


def _compared(data: ReportData) -> pd.DataFrame:
    """Curves of the first image set with a BD-rate against one anchor: a row each.

    The anchor is that of the measure `bd_rate_percent`.
    """
    table = data.tables["curves"]
    names = [dataset["name"] for dataset in data.datasets[:1]]
    own = table["dataset"].isin(names) & table["bd_rate_percent"].notna()
    table = table[own]
    if len(data.codecs):
        points = data.frontier[data.frontier["codec"] == data.codecs[0]]
    else:
        points = data.frontier
    shown = ["label", "family", _COST.name, "differs_in", "state", "bd_anchor"]
    keys = ["curve_id", "dataset"]
    first = points[points["state"] == "measured"].drop_duplicates(keys)
    rows = table.merge(first[[*keys, *shown, "coder", "numerics", "effort"]])
    return rows[rows["anchor"] == rows["bd_anchor"]]


def _anchor(data: ReportData, rows: pd.DataFrame) -> Anchor | None:
    if rows.empty:
        return None
    name, dataset = rows["anchor"].iloc[0], rows["dataset"].iloc[0]
    images = data.frontier.loc[data.frontier["dataset"] == dataset, "image_set"]
    image_set = images.dropna().iloc[0]
    return anchor_named(name, dataset, image_set, data.classical, data.frontier)


def _curve(data: ReportData, row: dict) -> pd.DataFrame:
    points = data.frontier
    same = points["curve_id"] == row["curve_id"]
    for key in ("dataset", "coder", "numerics", "effort"):
        same &= points[key] == row[key]
    return points[same & points["bpp"].notna()]
