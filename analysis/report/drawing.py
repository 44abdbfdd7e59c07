"""What the static figures are drawn with: axes, points by family, staircases."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

from analysis.codec_points import CLASSICAL, OVERFITTED
from analysis.frontier import staircase
from analysis.measures import Measure
from analysis.report.style import MARKERS, FamilyStyle

_MAX_VECTOR_POINTS = 2000


def axis_title(measure: Measure, distortions: str) -> str:
    """Label and unit; of a loss, also which distortions it weighs."""
    title = measure.title[:1].upper() + measure.title[1:]
    if measure.name == "rd_loss":
        title += f" (bpp + lambda {distortions.upper().replace('_', '-')})"
    return title


def staircases(
    axes: Axes, rows: pd.DataFrame, x: Measure, y: Measure, within: list[str]
) -> None:
    """The non-dominated points of each group of equal columns `within`, joined."""
    groups = [group for _, group in rows.groupby(within)] if within else [rows]
    for i, group in enumerate(groups):
        steps = staircase(group[[x.name, y.name]], [x.minimise, y.minimise])
        label = "Pareto frontier" if i == 0 else None
        axes.plot(*steps.T, color="black", lw=1.1, zorder=2, label=label)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its one panel."""
    figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
    return figure, figure.subplots()


_KINDS = {
    OVERFITTED: "codecs overfitted to each image",
    CLASSICAL: "classical codecs, best setting for the lambda",
}


def reference_points(axes: Axes, models: pd.DataFrame, x: str, y: str) -> None:
    """What was made elsewhere or otherwise, as grey diamonds with labels."""
    for model in models.to_dict("records"):
        kind = _KINDS.get(model["family"], "reference models")
        axes.plot(
            [model[x]],
            [model[y]],
            ls="",
            marker="D",
            ms=5,
            mfc="white",
            mec="#555555",
            label=kind,
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


def empty(axes: Axes, rows: pd.DataFrame, text: str = "nothing measured yet") -> bool:
    """Whether there are no rows; says so in the panel."""
    if rows.empty:
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
    return rows.empty


def families(
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


def log_axis(axes: Axes, which: str, values: pd.Series) -> None:
    """Makes the axis `x` or `y` logarithmic, around the values."""
    low, high = values.min() / 1.25, values.max() * 1.25
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    wide = high / low > 300
    axis.set_major_locator(LogLocator(10, (1,) if wide else (1, 2, 5)))
    axis.set_minor_locator(LogLocator(10, range(2, 10)) if wide else NullLocator())
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def padded(values: pd.Series, share: float, least: float) -> tuple[float, float]:
    """The range of the values and a share of it, or at least so much, around."""
    pad = max(share * (values.max() - values.min()), least)
    return values.min() - pad, values.max() + pad


def legend(figure: Figure, *panels: Axes) -> None:
    """One legend for all panels, each entry once, under the figure and no wider."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if not entries:
        return
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in (3, 2, 1):
        drawn = figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=columns,
        )
        if columns == 1 or drawn.get_window_extent(renderer).width <= figure.bbox.width:
            return
        drawn.remove()
