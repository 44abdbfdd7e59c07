"""Who decodes faster than whom, on which device: orders, and what changes places."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from analysis.report.drawing import empty
from analysis.report.style import COLOURS

PUBLISHED = "A100, published"
# Decoded megapixels per second on Kodak, A100: Minnen & Johnston 2023
# (arXiv 2311.12821), table 1. What their clock ran over is not said there.
PUBLISHED_MPX_PER_S = {
    "rdc_a": 9.9,
    "rdc_b": 10.7,
    "rdc_c": 10.8,
    "rdc_d": 11.1,
    "rdc_e": 31.5,
    "rdc_f": 69.0,
    "rdc_g": 95.9,
}
_KODAK_MPX = 512 * 768 / 1e6


def published_ms(architectures: pd.DataFrame) -> pd.Series:
    """Milliseconds per Kodak image by `arch_id`, of those that the study timed.

    Args:
      architectures: with `name`, by `arch_id`.
    """
    speed = architectures["name"].map(PUBLISHED_MPX_PER_S).dropna()
    return 1000 * _KODAK_MPX / speed


def order(times: pd.Series) -> list[str]:
    """Its index, fastest first; what has no time is left out."""
    return [str(key) for key in times.dropna().sort_values(kind="stable").index]


def exchanged(one: pd.Series, other: pd.Series) -> list[tuple[str, str]]:
    """Pairs (a, b) that `one` has in this order, and `other` the other way round."""
    common = [key for key in order(one) if pd.notna(other.get(key))]
    pairs = itertools.combinations(common, 2)
    return [(a, b) for a, b in pairs if other[a] > other[b]]


def told(columns: Mapping[str, pd.Series]) -> list[str]:
    """A line for each column: its order, and what that exchanges of the published.

    Args:
      columns: times by label of the architecture; `PUBLISHED` among them.
    """
    published = columns[PUBLISHED]
    lines = []
    for name, times in columns.items():
        line = f"- {name}: {', '.join(order(times))}"
        if name != PUBLISHED:
            behind: dict[str, list[str]] = {}
            for a, b in exchanged(published, times):
                behind.setdefault(a, []).append(b)
            changes = [f"{a} falls behind {_listed(bs)}" for a, bs in behind.items()]
            line += ". " + (_listed(changes) or "The published order")
        lines.append(line + ".")
    return lines


def _listed(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def ranks_picture(columns: Mapping[str, pd.Series], labels: list[str]) -> Figure:
    """A line per architecture through its ranks, one column per device.

    Args:
      columns: times by label, none missing among these labels.
      labels: of architectures.
    """
    figure = Figure(figsize=(1.6 + 1.7 * len(columns), 3.6), layout="constrained")
    axes = figure.subplots()
    ranks = pd.DataFrame(columns).reindex(labels).dropna().rank(method="first")
    if empty(axes, ranks, "no architecture in all columns"):
        return figure
    places = list(range(len(ranks.columns)))
    for colour, (label, row) in zip(
        itertools.cycle(COLOURS), ranks.iterrows(), strict=False
    ):
        axes.plot(places, row, "o-", color=colour, lw=2, ms=13, zorder=3)
        for place, rank in zip(places, row, strict=True):
            axes.annotate(
                str(label),
                (place, rank),
                ha="center",
                va="center",
                color="white",
                fontsize=8,
                weight="bold",
                zorder=4,
            )
    for place, name in zip(places, ranks.columns, strict=True):
        if name.endswith(("estimated", "roofline")):
            axes.axvspan(place - 0.5, place + 0.5, color="#f6f3e8", zorder=0)
    axes.set_xticks(places, [name.replace(", ", "\n") for name in ranks.columns])
    axes.set_yticks(range(1, len(ranks) + 1))
    axes.set(ylabel="rank, 1 decodes fastest", xlim=(-0.5, len(places) - 0.5))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="x")
    axes.set_title(
        "Shaded: estimates of a compiler, no measurement. Network stage, 512 x 768",
        fontsize=8.5,
    )
    return figure
