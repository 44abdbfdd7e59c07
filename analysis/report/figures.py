"""The report's plots as static files for papers: SVG, PNG and PDF."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

from analysis import baselines, references
from analysis.frontier import staircase
from analysis.frontier_table import OBJECTIVES, STAGES
from analysis.report.data import ReportData
from analysis.report.style import (
    BASELINE_DASHES,
    COMPONENT_COLOURS,
    MARKERS,
    FamilyStyle,
)
from rdc.system.files import write_bytes_atomically

FORMATS = ("svg", "png", "pdf")
_RC: dict[Any, Any] = {
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
_MAX_VECTOR_POINTS = 2000
_COST_LABEL = "Decoder cost (kFLOPs per pixel)"


def write_figures(data: ReportData, folder: Path) -> None:
    """Writes every figure into `folder`, in every format."""
    with mpl.rc_context(_RC):
        for name, draw in FIGURES.items():
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
    """RD loss over kFLOPs/px by family, with the staircase of non-dominated points."""
    rows = _measured(data)
    figure, axes = _figure(7.0, 4.3)
    if not _empty(axes, rows):
        _families(axes, data.styles, rows, "kflops_per_px", "rd_loss")
        for i, (_, group) in enumerate(rows.groupby(["lmbda", "distortion"])):
            steps = staircase(group[list(OBJECTIVES)])
            label = "Pareto frontier" if i == 0 else None
            axes.plot(*steps.T, color="black", lw=1.1, zorder=2, label=label)
        losses = rows[["lmbda", "distortion"]].drop_duplicates()
        models = _references(data).merge(losses)
        _reference_points(axes, models, "kflops_per_px", "rd_loss")
        for point in rows[rows["name"].notna()].itertuples():
            axes.annotate(
                point.name,
                (point.kflops_per_px, point.rd_loss),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=7.5,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
                zorder=2.5,  # under the points: a label hides none
            )
        costs = pd.concat([rows["kflops_per_px"], models["kflops_per_px"]])
        _log_axis(axes, "x", costs)
        _legend(figure, axes)
    distortions = " or ".join(rows["distortion"].unique()) or "mse"
    loss = f"RD loss (bpp + lambda {distortions.upper().replace('_', '-')})"
    axes.set(xlabel=_COST_LABEL, ylabel=loss, title=data.title)
    return figure


def decode_time_figure(data: ReportData) -> Figure:
    """Median decode time over kFLOPs/px, one panel per stage, of the main hardware."""
    figure = Figure(figsize=(8.4, 3.5), dpi=200, layout="constrained")
    panels = list(figure.subplots(1, len(STAGES)))
    device = data.devices[0] if data.devices else None
    rows = data.frontier.drop_duplicates("arch_id")
    for axes, stage in zip(panels, STAGES, strict=True):
        column = f"decode_ms.{device['id']}.{stage}" if device else ""
        timed = rows[rows[column].notna()] if column in rows else rows.iloc[:0]
        if not _empty(axes, timed, "missing"):
            _families(axes, data.styles, timed, "kflops_per_px", column)
            _log_axis(axes, "x", timed["kflops_per_px"])
            _log_axis(axes, "y", timed[column])
        axes.set(title=stage.replace("_", " "), xlabel="kFLOPs per pixel")
    name = device["name"] if device else "no hardware"
    panels[0].set_ylabel(f"Decode time (ms), median\n{name}")
    _legend(figure, *panels)
    return figure


def rate_distortion_figure(data: ReportData) -> Figure:
    """PSNR over bpp beside published curves, pale where they do not compare."""
    rows = _measured(data)
    figure, axes = _figure(7.0, 4.3)
    comparable = _on_kodak(data)
    if not _empty(axes, rows):
        _families(axes, data.styles, rows, "bpp", "psnr_db")
        models = _references(data)
        _reference_points(axes, models, "bpp", "psnr_db")
        low, high = _padded(pd.concat([rows["bpp"], models["bpp"]]), 0.15, 0.1)
        x_range = (max(low, 0.0), high)
        psnr_db = [rows["psnr_db"], models["psnr_db"]]
        for codec, label in baselines.LABELS.items():
            curve = baselines.kodak_curve(codec)
            axes.plot(
                curve["bpp"],
                curve["psnr_db"],
                color="#555555" if comparable else "#bbbbbb",
                lw=1,
                dashes=BASELINE_DASHES[codec],
                label=f"{label}, published for Kodak",
                zorder=1.5,
            )
            at_ends = np.interp(
                x_range, curve["bpp"], curve["psnr_db"], left=np.nan, right=np.nan
            )
            psnr_db.append(pd.Series(at_ends))
        y_range = _padded(pd.concat(psnr_db), 0.08, 1.0)
        axes.set(xlim=x_range, ylim=y_range)
        _legend(figure, axes)
    title = data.title
    if not comparable:
        title += " (not Kodak: published curves do not compare)"
    axes.set(
        xlabel="Rate of the coded files (bits per pixel)",
        ylabel="PSNR in RGB (dB), mean over images",
        title=title,
    )
    return figure


def cost_breakdown_figure(data: ReportData) -> Figure:
    """kFLOPs/px of the decoder by component."""
    bars = data.cost_breakdown
    figure, axes = _figure(7.4, 1.3 + 0.24 * max(len(bars), 4))
    if not _empty(axes, bars, "not counted yet"):
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
    axes.set(xlabel=_COST_LABEL, title="Decoder cost by component")
    return figure


FIGURES: dict[str, Callable[[ReportData], Figure]] = {
    "frontier": frontier_figure,
    "decode_time": decode_time_figure,
    "rate_distortion": rate_distortion_figure,
    "cost_breakdown": cost_breakdown_figure,
}


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
    return figure, figure.subplots()


def _measured(data: ReportData) -> pd.DataFrame:
    """Of the first image set: a figure mixes no two."""
    rows = data.frontier[data.frontier["state"] == "measured"]
    if data.datasets:
        rows = rows[rows["dataset"] == data.datasets[0]["name"]]
    return rows


def _on_kodak(data: ReportData) -> bool:
    """Whether the first image set is the one that published numbers are of."""
    return bool(data.datasets) and data.datasets[0]["kodak"]


def _references(data: ReportData) -> pd.DataFrame:
    """The project's reference models that compare with the first image set."""
    models = references.kodak()
    return models if _on_kodak(data) else models.iloc[:0]


def _reference_points(axes: Axes, models: pd.DataFrame, x: str, y: str) -> None:
    for i, model in enumerate(models.to_dict("records")):
        axes.plot(
            [model[x]],
            [model[y]],
            ls="",
            marker="D",
            ms=5,
            mfc="white",
            mec="#555555",
            label="reference models of this project" if i == 0 else None,
            zorder=1.8,
        )
        axes.annotate(
            model["label"],
            (model[x], model[y]),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=7.5,
            color="#555555",
            style="italic",
            zorder=1.8,
        )


def _empty(axes: Axes, rows: pd.DataFrame, text: str = "nothing measured yet") -> bool:
    if rows.empty:
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
    return rows.empty


def _families(
    axes: Axes, styles: list[FamilyStyle], rows: pd.DataFrame, x: str, y: str
) -> None:
    """Points by family; hollow where they were made under other conditions."""
    size = 34 if len(rows) < 300 else 12 if len(rows) < 2000 else 4
    for style in styles:
        family = rows[rows["family"] == style.family]
        for hollow, points in family.groupby(family["differs_in"] != ""):
            axes.scatter(
                points[x],
                points[y],
                s=size,
                marker=MARKERS[style.marker],
                facecolor="none" if hollow else style.colour,
                edgecolor=style.colour if hollow else "#00000080",
                linewidth=1.2 if hollow else 0.4 * (size > 4),
                label="other training or data" if hollow else style.family,
                rasterized=len(rows) > _MAX_VECTOR_POINTS,
                zorder=3,
            )


def _log_axis(axes: Axes, which: str, values: pd.Series) -> None:
    low, high = values.min() / 1.25, values.max() * 1.25
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    wide = high / low > 300
    axis.set_major_locator(LogLocator(10, (1,) if wide else (1, 2, 5)))
    axis.set_minor_locator(LogLocator(10, range(2, 10)) if wide else NullLocator())
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def _padded(values: pd.Series, share: float, least: float) -> tuple[float, float]:
    pad = max(share * (values.max() - values.min()), least)
    return values.min() - pad, values.max() + pad


def _legend(figure: Figure, *panels: Axes) -> None:
    entries: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=3,
        )
