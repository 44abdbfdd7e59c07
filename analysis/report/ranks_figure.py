"""Decoders by rank: one device against another, or against their operations.

Right part of figure 4 of Minnen & Johnston 2023, of any sweep that was timed.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.decode_times import MAIN_STAGE
from analysis.measures import MEASURES
from analysis.ranks import MIN_POINTS
from analysis.report.data import ReportData
from analysis.report.drawing import empty, families, legend, new_figure

_COST = MEASURES["kflops_per_px"]


def ranks_figure(data: ReportData) -> Figure:
    """Ranks of the network's decode times: of the two devices that timed most; with one
    device, against kFLOPs/px. Off the diagonal are decoders that change places."""
    figure, axes = new_figure(5.2, 5.0)
    labels = {
        f"decode_ms.{device['id']}.{MAIN_STAGE}": f"network, {device['name']}"
        for device in data.devices
        if MAIN_STAGE in device["stages"]
    }
    timed = bool(labels)
    labels[_COST.name] = _COST.label
    y, x = list(labels)[:2] if timed else (_COST.name, _COST.name)
    rows = data.frontier[timed & (data.frontier["differs_in"] == "")]
    rows = rows.dropna(subset=[x, y]).drop_duplicates("arch_id")
    if len(rows) < MIN_POINTS:
        empty(axes, rows.iloc[:0], f"missing: fewer than {MIN_POINTS} were timed")
    else:
        ranks = rows.assign(**{name: rows[name].rank() for name in (x, y)})
        families(axes, data.styles, ranks, x, y)
        ends = [1, len(rows)]
        axes.plot(ends, ends, color="black", lw=0.8, label="the same order")
        axes.set(xlabel=f"rank by {labels[x]}", ylabel=f"rank by {labels[y]}")
        legend(figure, axes)
    axes.set_title("Do decoders keep their order?")
    return figure
