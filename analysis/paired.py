"""Differences between models that were trained with the same seeds, with intervals.

Models of one seed share their crops and, through their teacher, their start; images are
the same for all. So both are drawn together: seeds and images with replacement, the
difference of every draw, its mean over both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 4000
INSIDE = 0.95


@dataclass(frozen=True)
class Difference:
    """Of the loss of a model from that of another, per cent of the other's.

    Attributes:
      low, high: 95 % of the draws lie between.
      seeds: trainings of each.
    """

    percent: float
    low: float
    high: float
    seeds: int

    @property
    def is_sure(self) -> bool:
        """Which one is better."""
        return self.low > 0 or self.high < 0

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.percent:+.2f} % ({self.low:+.2f} to {self.high:+.2f})"


def losses(rate_distortion: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Logarithm of bpp + lmbda MSE, mean over the rates of a model.

    Returns:
      A row per run_id, a column per image.
    """
    rows = rate_distortion.merge(points[["run_id", "rate", "lmbda"]])
    rows = rows.assign(
        log_loss=np.log(rows["bpp_coded"] + rows["lmbda"] * rows["mse_255"])
    )
    return rows.pivot_table(index="run_id", columns="image", values="log_loss")


def losses_by_label(
    runs: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """`losses` of each `label` of the runs, indexed by seed; of what was evaluated."""
    rows = tables["rate_distortion"]
    if rows.empty:
        return {}
    measured = losses(rows, tables["points"])
    evaluated = runs[runs["run_id"].isin(measured.index)]
    return {
        str(label): measured.loc[own["run_id"]].set_axis(own["seed"].to_numpy())
        for label, own in evaluated.groupby("label", sort=False)
    }


def told_of(tables: dict[str, pd.DataFrame]) -> dict[str, object]:
    """What every page of trainings says of them, by its name in a template."""
    runs, rows = tables["runs"], tables["rate_distortion"]
    return {
        "models": len(runs),
        "finished": (runs["status"] == "ok").sum(),
        "images": rows["image"].nunique(),
        "dataset": " and ".join(sorted(rows["dataset"].unique())),
        "steps": int(runs["steps"].min()),
        "coded": coded_over_estimated(rows),
    }


def difference(model: pd.DataFrame, other: pd.DataFrame) -> Difference:
    """Of two models.

    Args:
      model, other: of `losses`, indexed by seed; seeds that both have count.
    """
    seeds = model.index.intersection(other.index)
    values = (model.loc[seeds] - other.loc[seeds]).to_numpy()
    percent, low, high = (100 * float(np.expm1(v)) for v in mean_interval(values))
    return Difference(percent, low, high, len(seeds))


def coded_over_estimated(rate_distortion: pd.DataFrame) -> str:
    """How far whole files are from what likelihoods say, in words.

    Args:
      rate_distortion: rows of images, at least one.
    """
    rows = rate_distortion
    total = rows["bpp_coded"].sum() / rows["bpp_estimated"].sum() - 1
    means = rows.groupby(["run_id", "rate"])[["bpp_coded", "bpp_estimated"]].mean()
    each = means["bpp_coded"] / means["bpp_estimated"] - 1
    return (
        f"Whole files are {100 * total:+.2f} % of their estimates, "
        f"{100 * each.min():+.2f} to {100 * each.max():+.2f} % over models and rates."
    )


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired values, and between what 95 % of the draws lie.

    Args:
      values: f64[seeds, images].
    """
    random = np.random.default_rng(0)
    count, images = values.shape
    of_seeds = random.integers(count, size=(DRAWS, count))
    of_images = random.integers(images, size=(DRAWS, images))
    draws = np.array(
        [
            values[np.ix_(rows, columns)].mean()
            for rows, columns in zip(of_seeds, of_images, strict=True)
        ]
    )
    outside = (1 - INSIDE) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(values.mean()), float(low), float(high)
