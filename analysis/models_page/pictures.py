"""The pictures of the page: frontier, rate-distortion curves, learning curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.frontier import staircase
from analysis.models_page.models import LMBDA, TOLD_APART, ReferenceModels
from analysis.report.drawing import empty, legend, log_axis, new_figure, padded
from analysis.report.style import CLASSICAL_DASHES, MARKERS, FamilyStyle

COST = "Decoder cost (kFLOPs/px)"
_MOST_CURVES = 5
_SMOOTHED = 5  # of the hundred points of a learning curve


def frontier_picture(models: ReferenceModels) -> Figure:
    """Quality over cost: thin lines join families, thick ones the seeds of a model.

    Left the BD-rate against WebP where curves have one, else the RD loss alone.
    """
    panels: list[tuple[str, str]] = [("rd_loss", f"RD loss at lambda {LMBDA:g}")]
    if models.models["bd.WebP"].notna().any():
        panels.insert(0, ("bd.WebP", "BD-rate against WebP (%)"))
    figure = Figure(figsize=(4.9 * len(panels), 4.4), dpi=200, layout="constrained")
    all_axes = list(np.atleast_1d(figure.subplots(1, len(panels))))
    for axes, (column, label) in zip(all_axes, panels, strict=True):
        _frontier(axes, models, column)
        axes.set(xlabel=COST, ylabel=f"{label}, {models.dataset}")
    legend(figure, *all_axes)
    return figure


def _frontier(axes: Axes, models: ReferenceModels, column: str) -> None:
    rows = models.models.dropna(subset=[column, "kflops_per_px"])
    rows = rows[~rows["run_id"].isin(models.failed)]
    if empty(axes, rows):
        return
    means = models.architectures.dropna(subset=[column])
    for style in models.data.styles:
        family = means[means["family"] == style.family].sort_values("kflops_per_px")
        runs = rows[rows["family"] == style.family]
        axes.plot(
            family["kflops_per_px"],
            family[column],
            color=style.colour,
            lw=1,
            alpha=0.6,
            zorder=2,
        )
        if runs.empty:
            continue
        for _, seeds in runs.groupby("arch_id"):
            axes.plot(seeds["kflops_per_px"], seeds[column], color=style.colour, lw=2.5)
        axes.scatter(
            runs["kflops_per_px"],
            runs[column],
            s=30,
            marker=MARKERS[style.marker],
            color=style.colour,
            edgecolor="#00000080",
            linewidth=0.4,
            label=style.family,
            zorder=3,
        )
    steps = staircase(means[["kflops_per_px", column]])
    axes.plot(*steps.T, color="black", lw=0.9, zorder=1.9, label="Pareto frontier")
    log_axis(axes, "x", means["kflops_per_px"])
    _noise(axes, models, column, means[column])
    if column == "rd_loss":
        for dashes, (name, loss) in zip(
            CLASSICAL_DASHES, models.classical_losses.items(), strict=False
        ):
            axes.axhline(loss, color="#555555", lw=1, dashes=dashes, label=name)
    else:
        axes.axhline(0, color="#555555", lw=1, dashes=(1, 2))


def _noise(axes: Axes, models: ReferenceModels, column: str, values: pd.Series) -> None:
    """A bar beside the axis: two models closer than that are not told apart."""
    if column == "rd_loss":
        pairs = models.seeds.pairs["loss_percent"].dropna().to_numpy(float)
        if not len(pairs):
            return
        deviation = np.sqrt(np.mean(pairs**2) / 2)
        size = values.median() * TOLD_APART * deviation / 100
    else:
        size = models.seeds.told_apart_percent
        if not np.isfinite(size):
            return
    x, top = axes.get_xlim()[1] / 1.06, values.max()
    axes.errorbar(
        [x],
        [top - size / 2],
        yerr=[size / 2],
        color="black",
        capsize=3,
        lw=1,
        label="not told apart",
    )


def curves_picture(models: ReferenceModels) -> Figure:
    """PSNR over rate of the models on the frontier, beside measured codecs."""
    figure, axes = new_figure(7.0, 4.6)
    chosen = on_frontier(models)
    if not empty(axes, chosen):
        reached: list[np.ndarray] = []
        for row in chosen.itertuples():
            style = _style(models, row.family)
            bpp, psnr_db = models.curves[row.run_id]
            reached.append(bpp)
            axes.plot(
                bpp,
                psnr_db,
                color=style.colour,
                marker=MARKERS[style.marker],
                ms=4,
                lw=1.2,
                label=f"{row.family} {row.sizes}, {row.kflops_per_px:.1f} kFLOPs/px",
            )
        low, high = padded(pd.Series(np.concatenate(reached)), 0.05, 0.02)
        codecs = models.data.classical
        codecs = codecs[codecs["dataset"] == models.dataset]
        for dashes, (label, curve) in zip(
            CLASSICAL_DASHES, codecs.groupby("label", sort=False), strict=False
        ):
            curve = curve[curve["bpp"] <= 1.2 * high]
            axes.plot(
                curve["bpp"],
                curve["psnr_db"],
                color="black",
                lw=1,
                dashes=dashes,
                label=f"{label}, measured here",
            )
        axes.set(xlim=(max(low, 0.0), high))
        legend(figure, axes)
    axes.set(
        xlabel="Rate of the coded files (bits per pixel)",
        ylabel=f"PSNR in RGB (dB), mean over {models.dataset}",
    )
    return figure


def on_frontier(models: ReferenceModels) -> pd.DataFrame:
    """The first seed of some architectures on the frontier, the best among them."""
    best = models.architectures[models.architectures["on_frontier"]]
    places = np.linspace(0, len(best) - 1, min(len(best), _MOST_CURVES))
    best = best.iloc[places.round().astype(int)]
    first = models.models.drop_duplicates("arch_id")
    return first[first["arch_id"].isin(best["arch_id"])]


def learning_picture(models: ReferenceModels, curves: pd.DataFrame) -> Figure:
    """Training loss over steps, smoothed.

    Args:
      curves: as `analysis.models_page.learning`.
    """
    figure, axes = new_figure(7.0, 4.3)
    if not empty(axes, curves):
        labelled: set[str] = set()
        for row in models.models.itertuples():
            curve = curves[curves["run_id"] == row.run_id]
            style = _style(models, row.family)
            new = style.family not in labelled
            labelled.add(style.family)
            loss = curve["loss"].rolling(_SMOOTHED, min_periods=1).mean()
            axes.plot(
                curve["step"],
                loss,
                color=style.colour,
                lw=0.9,
                alpha=0.8,
                label=style.family if new else None,
            )
        axes.set_xscale("log")
        log_axis(axes, "y", curves["loss"])
        legend(figure, axes)
    axes.set(xlabel="Step", ylabel="Training loss, mean over its rates")
    return figure


def _style(models: ReferenceModels, family: str) -> FamilyStyle:
    return next(s for s in models.data.styles if s.family == family)


PICTURES: dict[str, Callable[[ReferenceModels], Figure]] = {
    "frontier": frontier_picture,
    "curves": curves_picture,
}
