"""What the static figures are drawn with: axes, points by family, staircases."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

from analysis.codec_points import CLASSICAL, OVERFITTED
from analysis.curves import anchor_label
from analysis.frontier import staircase
from analysis.measures import Measure
from analysis.reference_points import PUBLISHED
from analysis.report.style import MARKERS, FamilyStyle

_MAX_VECTOR_POINTS = 2000
_MUCH = 30.0  # as in templates/app.js


TOLD_ON_AXES = ("bd_window", "bd_anchor", "estimated_device_kind")


def axis_title(measure: Measure, distortions: str, rows: pd.DataFrame) -> str:
    """Label and unit; of a loss, also which distortions it weighs, of a BD-rate against
    what it is, of an estimate of which device."""
    title = measure.title[:1].upper() + measure.title[1:]
    if measure.name == "rd_loss":
        title += f" (bpp + lambda {distortions.upper().replace('_', '-')})"
    for name in TOLD_ON_AXES:
        if name in measure.within:
            told = map(anchor_label, rows[name].dropna().unique())
            title = ", ".join([title, *told])
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
    PUBLISHED: "published, not measured here",
    OVERFITTED: "codecs overfitted to each image",
    CLASSICAL: "classical codecs, best setting for the lambda",
}


def reference_points(axes: Axes, models: pd.DataFrame, x: str, y: str) -> None:
    """What was made elsewhere or otherwise, as grey diamonds, what was only claimed as
    thin ones. Points of one name share a label."""
    labelled = ~models["label"].duplicated()
    for model in models.assign(labelled=labelled).to_dict("records"):
        kind = _KINDS.get(model["family"], "reference models")
        axes.plot(
            [model[x]],
            [model[y]],
            ls="",
            marker="d" if model["family"] == PUBLISHED else "D",
            ms=5,
            mfc="white",
            mec="#555555",
            label=kind,
            zorder=1.8,
        )
        if not model["labelled"]:
            continue
        axes.annotate(
            model["label"],
            (model[x], model[y]),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=7.5,
            color="#555555",
            style="italic",
            arrowprops=_LEADER,
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


_REACHES = (1, 2, 3)  # of a label from its point, in turn
_GAP = 6.0  # between them, in points of the font
_HALF_MARKER = 3.5  # likewise
_LINE_STEP_PX = 8.0
_ROUNDS = 3  # in later ones, labels see those that came after them
_LEADER = {"arrowstyle": "-", "lw": 0.5, "color": "#999999", "shrinkA": 0, "shrinkB": 4}


def spread_labels(figure: Figure, axes: Axes) -> None:
    """Moves every label beside its point to where it hides least; call it last."""
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    if not labels:
        return
    for label in labels:
        label.set(in_layout=False, verticalalignment="center")
    figure.draw_without_rendering()  # now the points have their places, and keep them
    figure.set_layout_engine("none")
    renderer = FigureCanvasAgg(figure).get_renderer()
    px = figure.dpi / 72
    centres = np.concatenate([*map(_points_px, (*axes.collections, *axes.lines))])
    half = _HALF_MARKER * px
    taken = np.hstack([centres - half, centres + half])
    frame = np.array([axes.bbox.extents])
    own = np.full((len(labels), 4), np.nan)  # boxes of labels that have their places
    for k in _ROUNDS * list(range(len(labels))):
        label = labels[k]
        size = np.array(label.get_window_extent(renderer).size)
        places = _places(size / px)
        corners = axes.transData.transform(label.xy) + places * px - size / 2
        boxes = np.hstack([corners, corners + size])
        others = np.delete(own, k, axis=0)
        inside = _overlaps(boxes, frame)[:, 0]
        hidden = _overlaps(boxes, taken).sum(axis=1) + 10 * (size.prod() - inside)
        hidden += 2 * np.nansum(_overlaps(boxes, others), axis=1)
        best = hidden.round().argmin()  # of equal ones the nearest
        own[k] = boxes[best]
        label.set(position=places[best], horizontalalignment="center")
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(best >= len(places) // len(_REACHES))


def _places(size: np.ndarray) -> np.ndarray:
    """Of a label's middle from its point, nearest first: f[n,2], units of `size`."""
    wide, high = size / 2
    sides = np.array(
        [(1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)], float
    )
    return np.concatenate(
        [
            sides * (wide + _GAP, high * reach + _GAP * (reach - 0.5))
            for reach in _REACHES
        ]
    )


def _points_px(drawn: Artist) -> np.ndarray:
    """What labels should not hide, f[n,2]: points, and lines as points."""
    if isinstance(drawn, PathCollection):
        return drawn.get_offset_transform().transform(drawn.get_offsets())
    if not isinstance(drawn, Line2D):
        return np.empty((0, 2))
    corners = drawn.get_transform().transform(drawn.get_xydata())
    lengths = np.hypot(*np.diff(corners, axis=0).T).cumsum()
    along = np.concatenate([[0], lengths])
    steps = np.arange(0, along[-1] + _LINE_STEP_PX, _LINE_STEP_PX)
    return np.stack([np.interp(steps, along, axis) for axis in corners.T], axis=1)


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas that boxes `left bottom right top` share with others, f[n,m]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2)


def spans_much(values: pd.Series) -> bool:
    """Whether a linear axis would show little but its largest values: as where one
    training of many went wrong."""
    return bool(values.min() > 0 and values.max() > _MUCH * values.min())


def log_axis(axes: Axes, which: str, values: pd.Series, room: float = 1.25) -> None:
    """Makes the axis `x` or `y` logarithmic, around the values with so much room."""
    low, high = values.min() / room, values.max() * room
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
