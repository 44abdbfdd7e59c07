"""The report's plots as static files for papers: SVG, PNG and PDF."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from analysis import baselines, references
from analysis.codec_points import CLASSICAL
from analysis.comparability import compares
from analysis.decode_estimates import NO_MEASUREMENT
from analysis.measures import MEASURES, Measure, compared_within
from analysis.reference_points import LMBDA, PUBLISHED
from analysis.report.data import ReportData
from analysis.report.drawing import (
    axis_title,
    empty,
    families,
    legend,
    log_axis,
    new_figure,
    padded,
    reference_points,
    spans_much,
    spread_labels,
    staircases,
)
from analysis.report.ranks_figure import ranks_figure
from analysis.report.savings_figures import bd_rate_figure, savings_figure
from analysis.report.style import (
    BASELINE_DASHES,
    CLASSICAL_DASHES,
    COMPONENT_COLOURS,
)
from analysis.report.tasks_figure import tasks_figure
from analysis.report.winners_figure import winners_figure
from rdc.measurements.rows import STAGES
from rdc.system.files import write_bytes_atomically

FORMATS = ("svg", "png", "pdf")
RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "rdc",  # the same data give the same file
    "pdf.fonttype": 42,
}


def write_figures(data: ReportData, folder: Path) -> None:
    """Writes every figure into `folder`, in every format."""
    with mpl.rc_context(RC):
        for name, draw in (FIGURES | (TASKS if data.task_methods else {})).items():
            figure = draw(data)
            figure.draw_without_rendering()  # lays out once, not once per format
            figure.set_layout_engine("none")
            for kind in FORMATS:
                file = io.BytesIO()
                metadata = {"png": {}, "svg": {"Date": None}}.get(
                    kind, {"CreationDate": None}
                )
                figure.savefig(file, format=kind, metadata=metadata)
                path = folder / f"{name}.{kind}"
                write_bytes_atomically(path, file.getvalue(), durable=False)


def frontier_figure(data: ReportData) -> Figure:
    """The first two objectives by family, with the staircase of non-dominated points.

    The staircase is of the points that compare; the others are drawn hollow.
    """
    x, y = data.axes
    rows = _measured(data).dropna(subset=[x.name, y.name])
    note = ""
    if _on_kodak(data) and (x, y.name) == (CLAIMED[0], "rd_loss"):
        note = "published codecs are in figure published: RD loss of the mean PSNR"
    return _plane(data, x, y, rows, note)


def published_figure(data: ReportData) -> Figure:
    """The frontier in the RD loss that published curves have, beside these claims; at
    the lambda that most points have, of several the one nearest to the study's."""
    x, y = CLAIMED
    rows = _measured(data).dropna(subset=[x.name, y.name])
    if not _on_kodak(data):
        figure, axes = new_figure(7.0, 2.0)
        empty(axes, rows.iloc[:0], "missing: published codecs are of the Kodak images")
        return figure
    commonest = rows["lmbda"].mode()
    lmbda = commonest.iloc[(np.log(commonest / LMBDA)).abs().argsort()[:1]]
    rows = rows[rows["lmbda"].isin(lmbda)]
    near = rows[y.name] <= _FAR * rows[y.name].min()
    notes = [f"lambda {value:g}" for value in lmbda]
    if not near.all():
        notes.append(f"{(~near).sum()} points of over {_FAR} x the least left out")
    return _plane(data, x, y, rows[near], ", ".join(notes))


CLAIMED = MEASURES["kflops_per_px"], MEASURES["rd_loss_of_mean_psnr"]
_FAR = 2  # such losses would leave the others no room


def _plane(
    data: ReportData, x: Measure, y: Measure, rows: pd.DataFrame, note: str
) -> Figure:
    figure, axes = new_figure(7.0, 4.3)
    within = compared_within([x.name, y.name])
    claims = data.claims if _on_kodak(data) else data.claims.iloc[:0]
    models = pd.concat([_references(data), claims]).reindex(
        columns=["label", "family", x.name, y.name, *within]
    )
    if within and len(rows):
        models = models.merge(rows[within].drop_duplicates())
    models = models.dropna(subset=[x.name, y.name])
    if not empty(axes, rows if len(rows) else models):
        families(axes, data.styles, rows, x.name, y.name)
        comparable = rows[compares(rows["differs_in"], within)]
        staircases(axes, comparable, x, y, within)
        reference_points(axes, models, x.name, y.name)
        for _, point in rows[rows["name"].notna()].iterrows():
            axes.annotate(
                point["name"],
                (point[x.name], point[y.name]),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=7.5,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
                zorder=2.5,  # under the points: a label hides none
            )
        for which, measure in (("x", x), ("y", y)):
            values = pd.concat([rows[measure.name], models[measure.name]])
            if measure.log or spans_much(values):
                log_axis(axes, which, values, room=1.8 if len(models) else 1.25)
        axes.margins(y=0.12)  # as the room: for labels
        legend(figure, axes)
    distortions = " or ".join(rows["distortion"].unique()) or "mse"
    if (x, y) == CLAIMED and PUBLISHED not in set(models["family"]):
        note += ", no published curve has this lambda inside its range"
    axes.set(
        xlabel="\n".join(filter(None, [axis_title(x, distortions, rows), note])),
        ylabel=axis_title(y, distortions, rows),
        title=data.title,
    )
    spread_labels(figure, axes)
    return figure


def decode_time_figure(data: ReportData) -> Figure:
    """Median decode time over kFLOPs/px, one panel per stage, of the main hardware;
    below, what compilers expect of devices that are not at hand.
    """
    estimated = [*data.estimates.groupby("device_kind")]
    lines = 1 + -(-len(estimated) // len(STAGES))
    size = 8.4, 3.5 if lines == 1 else 3.0 * lines
    figure = Figure(figsize=size, dpi=200, layout="constrained")
    grid = figure.subplots(lines, len(STAGES), squeeze=False)
    panels = list(grid[0])
    device = data.devices[0] if data.devices else None
    cost = MEASURES["kflops_per_px"]
    rows = _shown(data)
    for axes, stage in zip(panels, STAGES, strict=True):
        column = f"decode_ms.{device['id']}.{stage}" if device else ""
        timed = rows[rows[column].notna()] if column in rows else rows.iloc[:0]
        timed = timed[timed[cost.name].notna()].drop_duplicates("arch_id")
        if not empty(axes, timed, "missing"):
            families(axes, data.styles, timed, cost.name, column)
            log_axis(axes, "x", timed[cost.name])
            log_axis(axes, "y", timed[column])
        axes.set(title=stage.replace("_", " "), xlabel=cost.title)
    name = device["name"] if device else "no hardware"
    panels[0].set_ylabel(f"Decode time (ms), median\n{name}")
    below = list(grid[1:].flat)
    for axes in below[len(estimated) :]:
        axes.remove()
    for axes, (device_kind, own) in zip(below, estimated, strict=False):
        _draw_estimates(data, axes, str(device_kind), own)
    legend(figure, *panels, *below[: len(estimated)])
    return figure


def _draw_estimates(
    data: ReportData, axes: Axes, device_kind: str, rows: pd.DataFrame
) -> None:
    cost = MEASURES["kflops_per_px"]
    rows = rows.dropna(subset=[cost.name, "decode_ms"]).assign(differs_in="")
    if not empty(axes, rows, "does not fit"):
        families(axes, data.styles, rows, cost.name, "decode_ms")
        log_axis(axes, "x", rows[cost.name])
        log_axis(axes, "y", rows["decode_ms"])
    axes.set(
        title=f"{device_kind}, estimated",
        xlabel=cost.title,
        ylabel=f"network (ms)\n{NO_MEASUREMENT}",
    )
    axes.set_facecolor("#f6f3e8")  # at a glance: not of those above


def rate_distortion_figure(data: ReportData) -> Figure:
    """PSNR over bpp, beside the classical codecs measured on the same images and
    published curves, which are pale where they do not compare."""
    rows = _measured(data)
    figure, axes = new_figure(7.0, 4.3)
    comparable = _on_kodak(data)
    if not empty(axes, rows):
        families(axes, data.styles, rows, "bpp", "psnr_db")
        models = _references(data)
        models = models[models["family"] != CLASSICAL]  # they are curves here
        reference_points(axes, models, "bpp", "psnr_db")
        low, high = padded(pd.concat([rows["bpp"], models["bpp"]]), 0.15, 0.1)
        x_range = (max(low, 0.0), high)
        curves = [*_classical(data), *_published(comparable)]
        at_ends = []
        for curve, style in curves:
            axes.plot(curve["bpp"], curve["psnr_db"], lw=1, **style)
            values = np.interp(x_range, *_xy(curve), left=np.nan, right=np.nan)
            at_ends.append(pd.Series(values))
        psnr_db = [rows["psnr_db"], models["psnr_db"], *at_ends]
        y_range = padded(pd.concat(psnr_db), 0.08, 1.0)
        axes.set(xlim=x_range, ylim=y_range)
        legend(figure, axes)
        spread_labels(figure, axes)
    title = data.title
    if not comparable:
        title += "\nnot Kodak: published curves do not compare"
    axes.set(
        xlabel="Rate of the coded files (bits per pixel)",
        ylabel="PSNR in RGB (dB), mean over images",
        title=title,
    )
    return figure


Styled = tuple[pd.DataFrame, dict[str, Any]]  # a curve, and how it is drawn


def _classical(data: ReportData) -> list[Styled]:
    """JPEG and its like, measured on the first image set."""
    points = data.classical
    points = points[points["dataset"] == data.datasets[0]["name"]]
    return [
        (
            curve,
            {
                "color": "black",
                "marker": ".",
                "dashes": CLASSICAL_DASHES[i % len(CLASSICAL_DASHES)],
                "label": f"{label}, measured here",
                "zorder": 1.6,
            },
        )
        for i, (label, curve) in enumerate(points.groupby("label", sort=False))
    ]


def _published(comparable: bool) -> list[Styled]:
    return [
        (
            baselines.kodak_curve(codec),
            {
                "color": "#555555" if comparable else "#bbbbbb",
                "dashes": BASELINE_DASHES[codec],
                "label": f"{label}, published for Kodak",
                "zorder": 1.5,
            },
        )
        for codec, label in baselines.LABELS.items()
    ]


def _xy(curve: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    return curve["bpp"], curve["psnr_db"]


def cost_breakdown_figure(data: ReportData) -> Figure:
    """kFLOPs/px of the decoder by component."""
    bars = data.cost_breakdown
    figure, axes = new_figure(7.4, 1.3 + 0.24 * max(len(bars), 4))
    if not empty(axes, bars, "not counted yet"):
        left = np.zeros(len(bars))
        for i, component in enumerate(bars):
            colour = COMPONENT_COLOURS[i % len(COMPONENT_COLOURS)]
            label = component.replace("_", " ")
            axes.barh(bars.index, bars[component], left=left, color=colour, label=label)
            left += bars[component].to_numpy()
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", labelsize=7.5, length=0)
        figure.legend(loc="outside lower center", ncols=3)
    cost = MEASURES["kflops_per_px"]
    axes.set(xlabel=cost.title, title="Decoder cost by component")
    return figure


FIGURES: dict[str, Callable[[ReportData], Figure]] = {
    "frontier": frontier_figure,
    "published": published_figure,
    "winners": lambda data: winners_figure(data.styles, _measured(data)),
    "decode_time": decode_time_figure,
    "ranks": ranks_figure,
    "rate_distortion": rate_distortion_figure,
    "cost_breakdown": cost_breakdown_figure,
    "bd_rate": bd_rate_figure,
    "savings": savings_figure,
}


# Of a sweep with a task.
TASKS: dict[str, Callable[[ReportData], Figure]] = {
    "tasks": lambda data: tasks_figure(_first_task(data)),
}


def _first_task(data: ReportData) -> pd.DataFrame:
    results = data.tables["task_results"]
    first = results.iloc[0][["dataset", "task"]]
    return results[(results[["dataset", "task"]] == first).all(axis=1)]


def _shown(data: ReportData) -> pd.DataFrame:
    """Of the first image set and the commonest codec settings: a figure mixes none."""
    rows = data.frontier
    if data.datasets:
        rows = rows[rows["dataset"] == data.datasets[0]["name"]]
    codecs = rows["codec"].value_counts()
    return rows[rows["codec"] == codecs.index[0]] if len(codecs) else rows


def _measured(data: ReportData) -> pd.DataFrame:
    rows = _shown(data)
    return rows[rows["state"] == "measured"]


def _on_kodak(data: ReportData) -> bool:
    """Whether the first image set is the one that published numbers are of."""
    return bool(data.datasets) and data.datasets[0]["kodak"]


def _references(data: ReportData) -> pd.DataFrame:
    """What compares with the first image set: the project's reference models, and
    codecs without a model.
    """
    models = references.kodak() if _on_kodak(data) else references.kodak().iloc[:0]
    name = data.datasets[0]["name"] if data.datasets else None
    others = data.other_codecs[data.other_codecs["dataset"] == name]
    return pd.concat([table for table in (models, others) if len(table)] or [models])
