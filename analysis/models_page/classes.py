"""Three classes of codecs beside each other: with a model, overfitted, classical."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.codec_points import CLASSICAL, OVERFITTED
from analysis.frontier import pareto_mask, staircase
from analysis.models_page.models import LMBDA, ReferenceModels
from analysis.report.drawing import empty, legend, log_axis
from analysis.report.style import MARKERS

AMORTISED = "amortised"
COSTS = {
    "kflops_per_px": "decoder cost (kFLOPs/px)",
    "file_decode_ms": "decode time of a file (ms)",
    "encode_ms": "encode time (ms)",
}
_MARKS = {OVERFITTED: "D", CLASSICAL: "s"}


@dataclass(frozen=True)
class Classes:
    """All codecs at LMBDA on the images of the page.

    Attributes:
      points: `label codec_class family rd_loss` and COSTS, best first; times are means
        over the images, of one call each in whatever else the machine did.
    """

    points: pd.DataFrame

    @classmethod
    def of(cls, models: ReferenceModels) -> Classes:
        points, others = models.points, models.data.other_codecs
        own = points[np.isclose(points["lmbda"].astype(float), LMBDA)]
        own = own[~own["run_id"].isin(models.failed)]
        widths = models.models.set_index("run_id")["sizes"]
        label = own["family"] + " " + own["run_id"].map(widths)
        others = others[np.isclose(others["lmbda"].astype(float), LMBDA)]
        others = others[others["dataset"] == models.dataset]
        parts = [
            own.assign(label=label, codec_class=AMORTISED),
            others.drop(columns="codec_class").rename(
                columns={"family": "codec_class"}
            ),
        ]
        columns = ["label", "codec_class", "family", "rd_loss", *COSTS]
        tables = [part.reindex(columns=columns) for part in parts if len(part)]
        table = pd.concat(tables).dropna(subset=["rd_loss"])
        return cls(table.sort_values("rd_loss", ignore_index=True))

    def on_frontier(self, cost: str) -> pd.Series:
        """Which points none dominates in a cost and the RD loss; false without cost."""
        return pd.Series(pareto_mask(self.points[[cost, "rd_loss"]].to_numpy(float)))

    @property
    def shown(self) -> pd.DataFrame:
        """Those that are on any frontier, and all without a model; with the columns
        `frontier.COST`.
        """
        marks = {f"frontier.{cost}": self.on_frontier(cost) for cost in COSTS}
        table = self.points.assign(**marks)
        chosen = table[list(marks)].any(axis=1) | (table["codec_class"] != AMORTISED)
        return table[chosen]


def classes_picture(models: ReferenceModels) -> Figure:
    """RD loss over each cost, with the frontier over all classes."""
    classes = Classes.of(models)
    figure = Figure(figsize=(12.6, 4.4), dpi=200, layout="constrained")
    panels = figure.subplots(1, len(COSTS), sharey=True)
    styles = {style.family: style for style in models.data.styles}
    for axes, (cost, title) in zip(panels, COSTS.items(), strict=True):
        rows = classes.points.dropna(subset=[cost])
        axes.set(xlabel=title[0].upper() + title[1:])
        if empty(axes, rows):
            continue
        for family, group in rows[rows["codec_class"] == AMORTISED].groupby("family"):
            style = styles[family]
            axes.scatter(
                group[cost],
                group["rd_loss"],
                s=26,
                marker=MARKERS[style.marker],
                color=style.colour,
                edgecolor="#00000080",
                linewidth=0.4,
                label=family,
                zorder=3,
            )
        for kind, mark in _MARKS.items():
            group = rows[rows["codec_class"] == kind]
            axes.scatter(
                group[cost],
                group["rd_loss"],
                s=30,
                marker=mark,
                color="white",
                edgecolor="black",
                label=kind,
                zorder=3,
            )
        steps = staircase(rows[[cost, "rd_loss"]])
        axes.plot(*steps.T, color="black", lw=0.9, zorder=1.9, label="Pareto frontier")
        log_axis(axes, "x", rows[cost])
        _name_others(axes, rows[rows["codec_class"] != AMORTISED], cost)
    panels[0].set_ylabel(f"RD loss at lambda {LMBDA:g}, {models.dataset}")
    legend(figure, *panels)
    return figure


def _name_others(axes: Axes, rows: pd.DataFrame, cost: str) -> None:
    """Labels of codecs without a model, to the side where there is room."""
    to_share = axes.transScale + axes.transLimits
    for point in rows.to_dict("records"):
        place = (point[cost], point["rd_loss"])
        left = to_share.transform(place)[0] > 0.6
        axes.annotate(
            point["label"],
            place,
            xytext=(-6 if left else 6, 4),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7,
            color="#444444",
        )
