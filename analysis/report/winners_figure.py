"""The map of which model wins, over the prices of a bit and of an operation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from scipy.ndimage import distance_transform_edt, minimum_filter

from analysis.report.drawing import empty, legend, log_axis, new_figure
from analysis.report.style import FamilyStyle
from analysis.winners import WinnerMap, comparable_points, winner_map

_CELL_SIDES = (1, 0.4)  # labels are wide
_ROOM = 1.1, 1.8  # widths and heights of a label; the legend takes of the height
_LIGHTEST = 0.45  # share of white in the last model of a family


def winners_figure(styles: list[FamilyStyle], rows: pd.DataFrame) -> Figure:
    """Regions by family, each with its model; one panel that says why where there are
    none.

    Args:
      rows: measured rows of `frontier`, of one image set and codec.
    """
    figure, axes = new_figure(7.0, 4.6)
    points = comparable_points(rows)
    models = points.drop_duplicates("curve_id")
    title = "Least J = D + lambda R + gamma C: MSE, bpp, decoder kFLOPs/px"
    if models["kflops_per_px"].nunique() < 2:
        text = (
            f"missing: needs two comparable models of different cost, has {len(models)}"
        )
        empty(axes, points.iloc[:0], text)
    else:
        found = winner_map(points)
        _draw(figure, axes, styles, found)
        title += (
            f"\n{len(found.models)} of {len(models)} comparable models win somewhere"
        )
    axes.set(
        xlabel="lambda: price of a bit per pixel (MSE on 0-255 per bpp)",
        ylabel="gamma: price of a kFLOP per pixel\n(MSE on 0-255 per kFLOP/px)",
        title=title,
    )
    return figure


def _draw(
    figure: Figure, axes: Axes, styles: list[FamilyStyle], found: WinnerMap
) -> None:
    colours = _colours(styles, found.models)
    axes.grid(visible=False)
    axes.pcolormesh(
        found.lmbdas,
        found.gammas,
        found.winner,
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        shading="nearest",
        rasterized=True,
    )
    for which, values in (("x", found.lmbdas), ("y", found.gammas)):
        log_axis(axes, which, pd.Series(values), room=1)
        getattr(axes, f"{which}axis").set_major_formatter("{x:g}")
    figure.draw_without_rendering()  # so that sizes are known
    in_legend = []
    for i, label in enumerate(found.models["label"]):
        region = found.winner == i
        if not region.all():
            prices = found.lmbdas, found.gammas
            axes.contour(*prices, region, [0.5], colors="white", linewidths=0.8)
        text = axes.text(
            float(found.lmbdas[0]),
            float(found.gammas[0]),
            label,
            ha="center",
            va="center",
            fontsize=7.5,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        middle = _middle(region, text, axes)
        if middle is None:
            text.remove()
            in_legend.append((label, colours[i]))
        else:
            row, column = middle
            text.set_position((float(found.lmbdas[column]), float(found.gammas[row])))
    shown = set(found.models["family"])
    for style in styles:
        if style.family in shown:
            axes.scatter([], [], marker="s", color=style.colour, label=style.family)
    for label, colour in in_legend:
        axes.scatter([], [], marker="s", color=[colour], label=label)
    legend(figure, axes)


def _middle(region: np.ndarray, text: Text, axes: Axes) -> tuple[int, int] | None:
    """The cell around which the text lies within the region, deepest in it, if any."""
    size, panel = text.get_window_extent(), axes.get_window_extent()
    rows, columns = region.shape
    high = int(np.ceil(_ROOM[1] * size.height / panel.height * rows))
    wide = int(np.ceil(_ROOM[0] * size.width / panel.width * columns))
    fits = minimum_filter(region, size=(high, wide), mode="constant", cval=False)
    if not fits.any():
        return None
    # Padded, for the edge of the map is a border as well.
    depth = distance_transform_edt(np.pad(region, 1), _CELL_SIDES)[1:-1, 1:-1]
    row, column = np.unravel_index((depth * fits).argmax(), region.shape)
    return int(row), int(column)


def _colours(styles: list[FamilyStyle], models: pd.DataFrame) -> list[np.ndarray]:
    """The family's colour, lighter for each dearer model of it."""
    of_family = {style.family: np.array(to_rgb(style.colour)) for style in styles}
    place = models.groupby("family").cumcount()
    last = models.groupby("family")["family"].transform("size") - 1
    white = _LIGHTEST * (place / last.clip(lower=1))
    return [
        colour + (1 - colour) * share
        for colour, share in zip(models["family"].map(of_family), white, strict=True)
    ]
