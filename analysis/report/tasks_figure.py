"""Methods of a task, statically: each measure over bytes."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from analysis.report.style import MARKERS, family_styles
from analysis.tables import LOCAL, REMOTE
from analysis.task_curves import label_of
from analysis.task_methods import TASK_MEASURES, TaskMeasure, measure_title


def tasks_figure(results: pd.DataFrame) -> Figure:
    """Each measure over bytes per photograph, a line per method, seeds averaged."""
    figure = Figure(figsize=(13.5, 4.6), dpi=130, layout="constrained")
    labels = [
        label_of(m, s)
        for m, s in zip(results["method"], results["setting"], strict=True)
    ]
    rows = results.assign(label=labels)
    drawn = rows[~rows["method"].isin([REMOTE, LOCAL])]
    styles = {style.family: style for style in family_styles(drawn["label"].unique())}
    # A detection has no answers that agree or diverge.
    measures = [m for m in TASK_MEASURES if drawn[m.name].notna().any()]
    panels = figure.subplots(1, max(len(measures), 1), squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=False):
        for label, own in drawn.groupby("label"):
            columns = ["bytes_per_datum", measure.name]
            means = own.groupby("setting")[columns].mean().sort_values(columns[0])
            style = styles[label]
            axes.plot(
                means["bytes_per_datum"],
                measure.scale * means[measure.name],
                marker=MARKERS[style.marker],
                color=style.colour,
                markersize=4,
                linewidth=1.2,
                label=label,
            )
        _teacher_line(axes, rows, measure)
        title = measure_title(measure, rows["task"])
        axes.set(xscale="log", xlabel="bytes per photograph", title=title)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _teacher_line(axes: Axes, rows: pd.DataFrame, measure: TaskMeasure) -> None:
    remote = rows[rows["method"] == REMOTE]
    if len(remote):
        value = measure.scale * remote.iloc[0][measure.name]
        inside = "bottom" if measure.minimise else "top"  # of the panel
        axes.axhline(value, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            "teacher", (0.01, value), xycoords=("axes fraction", "data"), va=inside
        )
