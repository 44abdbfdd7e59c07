"""What the page says of every model, from the tables of a sweep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.bd_rate import bd_rate
from analysis.frontier import pareto_mask
from analysis.report.data import ReportData
from rdc.errors import ConfigError, DataError

LMBDA = 0.0125  # of the RD losses that the page shows
ANCHORS = ("JPEG", "WebP", "AVIF")
LEAST_RANGE_DB = 3.0  # of a comparison over what all models reach
ANCHOR_NAME = "light"  # the own anchor, where the sweep has a model of this name
# Two trainings that differ by less than this many standard deviations of one are not
# told apart: twice that of a difference.
TOLD_APART = 2 * np.sqrt(2)
_BD = "bd_rate_percent"


@dataclass(frozen=True)
class Seeds:
    """How far trainings differ that are equal but for their seeds.

    Attributes:
      pairs: one row per pair: `family sizes kflops_per_px bd_percent loss_percent`,
        of the later seed against the earlier.
    """

    pairs: pd.DataFrame

    @property
    def deviation_percent(self) -> float:
        """Standard deviation of one training, in BD-rate; NaN without pairs."""
        differences = self.pairs["bd_percent"].to_numpy(float)
        differences = differences[np.isfinite(differences)]
        return (
            float(np.sqrt(np.mean(differences**2) / 2)) if len(differences) else np.nan
        )

    @property
    def told_apart_percent(self) -> float:
        """Differences of two models under this are noise; NaN where nobody knows."""
        return float(TOLD_APART * self.deviation_percent)


@dataclass(frozen=True)
class ReferenceModels:
    """The models of a sweep on one set of images.

    Attributes:
      dataset: the first that they were evaluated on, Kodak before others.
    """

    data: ReportData
    dataset: str

    @classmethod
    def read(cls, out: Path) -> ReferenceModels:
        """From OUT/tables.

        Raises:
          DataError: no tables, or nothing evaluated yet.
        """
        data = ReportData.read(out)
        if not data.datasets or not (data.frontier["state"] == "measured").any():
            raise DataError(
                "a page is about models that were evaluated",
                f"none in {out}",
                "let the sweep evaluate some, or gather its records: "
                f"python launch/report.py out={out}",
            )
        return cls(data, data.datasets[0]["name"])

    @cached_property
    def points(self) -> pd.DataFrame:
        """Rows of `frontier`: measured on the image set, with the commonest codec
        settings; rate ascending within a run."""
        rows = self.data.frontier
        rows = rows[(rows["dataset"] == self.dataset) & (rows["state"] == "measured")]
        rows = rows[rows["codec"] == self.codec]
        return rows.sort_values(["run_id", "bpp"], kind="stable")

    @property
    def codec(self) -> str:
        """The codec settings, like "range, native, effort 0"."""
        return self.data.codecs[0]

    @cached_property
    def models(self) -> pd.DataFrame:
        """One row per measured run, cheapest first.

        Columns: those of the run and its architecture; `sizes`; `rd_loss` at LMBDA;
        `bd.JPEG` and its like with `range.JPEG`, as in `curves`; `bd.own`, over
        `common_range_db`; medians `decode_ms.HARDWARE_ID.STAGE`.
        """
        points = self.points
        first = points.drop_duplicates("run_id").set_index("run_id")
        times = [name for name in points if str(name).startswith("decode_ms.")]
        told = ["arch_id", "name", "family", "seed", "kflops_per_px", "params_total"]
        table = first[[*told, "differs_in", *times]].copy()
        runs = self.data.tables["runs"].set_index("run_id")
        for name in ("steps", "batch_size", "crop_px", "train_seconds", "git_sha"):
            table[name] = runs[name].reindex(table.index)
        configs = self.data.tables["architectures"].set_index("arch_id")["config_json"]
        table["sizes"] = table["arch_id"].map(configs).map(sizes)
        chosen = points[np.isclose(points["lmbda"].astype(float), LMBDA)]
        table["rd_loss"] = chosen.set_index("run_id")["rd_loss"].reindex(table.index)
        for anchor in ANCHORS:
            table[f"bd.{anchor}"], table[f"range.{anchor}"] = self._against(
                anchor, table.index
            )
        table["bd.own"] = [self._bd(self.anchor, run_id) for run_id in table.index]
        order = ["kflops_per_px", "family", "arch_id", "seed"]
        return table.sort_values(order, kind="stable").reset_index()

    @cached_property
    def architectures(self) -> pd.DataFrame:
        """`models` that did not fail, means over seeds; with `seeds`, `on_frontier`
        (decoder cost and BD-rate against the own anchor, or RD loss where there are no
        curves)."""
        keys = ["arch_id", "family", "sizes", "kflops_per_px", "params_total"]
        values = ["rd_loss", "bd.own", *(f"bd.{anchor}" for anchor in ANCHORS)]
        sound = self.models[~self.models["run_id"].isin(self.failed)]
        groups = sound.groupby(keys, sort=False)
        table = groups[values].mean().reset_index()
        table["seeds"] = groups.size().to_numpy()
        quality = table[["kflops_per_px", self.quality]].to_numpy(float)
        table["on_frontier"] = pareto_mask(quality)
        return table

    @cached_property
    def quality(self) -> str:
        """The column that orders models: `bd.own`, or `rd_loss` without curves."""
        return "bd.own" if self.models["bd.own"].notna().any() else "rd_loss"

    @cached_property
    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(bpp, PSNR in dB) of each run."""
        return {
            str(run_id): (
                rows["bpp"].to_numpy(float),
                rows["psnr_db"].to_numpy(float),
            )
            for run_id, rows in self.points.groupby("run_id")
        }

    @cached_property
    def anchor(self) -> str:
        """run_id of the own anchor: `light`, else the first run of the plan."""
        first = self.points.sort_index().drop_duplicates("run_id")
        named = first[first["name"] == ANCHOR_NAME]
        return str((named if len(named) else first)["run_id"].iloc[0])

    @cached_property
    def failed(self) -> frozenset[str]:
        """run_ids of models that are worse at all their rates than the own anchor at
        its lowest: trainings that went wrong. Pictures would show nothing else.
        """
        least = self.curves[self.anchor][1].min()
        return frozenset(
            run_id
            for run_id, (_, psnr_db) in self.curves.items()
            if len(psnr_db) > 1 and psnr_db.max() < least
        )

    @cached_property
    def common_range_db(self) -> tuple[float, float] | None:
        """The PSNR that all curves of models reach, but for those that failed; None
        where it tells little of them, under `LEAST_RANGE_DB`.
        """
        sound = [c[1] for run_id, c in self.curves.items() if run_id not in self.failed]
        low, high = max(p.min() for p in sound), min(p.max() for p in sound)
        return (low, high) if high - low >= LEAST_RANGE_DB else None

    @cached_property
    def seeds(self) -> Seeds:
        rows = []
        for _, models in self.models.groupby("arch_id", sort=False):
            for (_, a), (_, b) in combinations(models.iterrows(), 2):
                told = a[["family", "sizes", "kflops_per_px"]].to_dict()
                loss = 100 * (b["rd_loss"] / a["rd_loss"] - 1)
                percent = self._bd(a["run_id"], b["run_id"])
                rows.append({**told, "bd_percent": percent, "loss_percent": loss})
        columns = ["family", "sizes", "kflops_per_px", "bd_percent", "loss_percent"]
        return Seeds(pd.DataFrame(rows, columns=columns))

    @cached_property
    def classical_losses(self) -> dict[str, float]:
        """RD loss at LMBDA of the classical codecs, each at its best setting."""
        codecs = self.data.tables["codecs"]
        classical = codecs["codec_class"] == "classical"
        codecs = codecs[classical & (codecs["dataset"] == self.dataset)]
        losses = codecs.assign(loss=codecs["bpp_coded"] + LMBDA * codecs["mse_255"])
        means = losses.groupby(["codec_id", "setting"])["loss"].mean()
        labels = self.data.classical.drop_duplicates("codec_id")
        named = labels.set_index("codec_id")["label"]
        best = means.groupby("codec_id").min()
        return {str(named[i]): float(value) for i, value in best.items()}

    def _against(self, anchor: str, runs: pd.Index) -> tuple[pd.Series, pd.Series]:
        """(BD-rate, range in dB as text) of each run, as `curves` has them."""
        curves = self.data.tables["curves"]
        curves = curves[(curves["dataset"] == self.dataset)]
        curves = curves[curves["anchor"] == anchor].drop_duplicates("run_id")
        curves = curves[curves["run_id"].notna()].set_index("run_id").reindex(runs)
        low, high = curves["range_low_db"], curves["range_high_db"]
        ranges = [f"{a:.1f}-{b:.1f}" for a, b in zip(low, high, strict=True)]
        return curves[_BD].astype(float), pd.Series(ranges, runs).where(low.notna())

    def _bd(self, anchor: str, run_id: str) -> float:
        """BD-rate over the common range, or that of both where all have none; NaN where
        these do not have one, either.
        """
        try:
            return bd_rate(
                *self.curves[anchor],
                *self.curves[run_id],
                psnr_range_db=self.common_range_db,
            )
        except (DataError, ConfigError):
            return np.nan


def sizes(config_json: str) -> str:
    """The widths of an architecture in short, as "48-64-128-192"."""
    transform: dict[str, Any] = json.loads(config_json)["transform"]
    widths = [*transform.get("widths", transform.get("channels", ()))]
    if "latent_channels" in transform:
        widths.append(transform["latent_channels"])
    return "-".join(str(width) for width in widths)
