"""What the report shows, as plain data: one payload for the page and the figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import baselines, references
from analysis.frontier_table import STAGES, STATISTICS
from analysis.gather import problems
from analysis.ranks import flops_against_time
from analysis.report.style import FamilyStyle, family_styles
from analysis.tables import read_tables
from rdc.errors import StorageError
from rdc.system.files import read_json

# What a point is on a plot: measured, or the kind of gap that it is.
STATES = ("measured", "not evaluated", "failed", "diverged", "running", "pending")
_STATE_OF_STATUS = {
    "diverged": "diverged",
    "running": "running",
    "pending": "pending",
    "preempted": "pending",  # it will be resumed
}
_MAX_BARS = 30  # of the cost breakdown
# Of a reference model, what the page shows.
_REFERENCE = (
    *("label", "family", "kflops_per_px", "lmbda", "distortion"),
    *("bpp", "psnr_db", "rd_loss"),
)


@dataclass(frozen=True)
class ReportData:
    """Everything that a report of one sweep needs.

    Attributes:
      out: the sweep's folder.
      tables: as `analysis.gather` wrote them; `frontier` has a `state` more.
      sweep: OUT/sweep.json, empty where it cannot be read.
      problems: records that were left out.
    """

    out: Path
    tables: dict[str, pd.DataFrame]
    sweep: dict[str, Any]
    problems: list[dict[str, str]]

    @classmethod
    def read(cls, out: Path) -> ReportData:
        """Reads OUT/tables and OUT/sweep.json.

        Raises:
          DataError: where OUT holds no tables.
        """
        out = Path(out)
        tables = read_tables(out)
        tables["frontier"]["state"] = _states(tables["frontier"])
        found = problems(out)
        try:
            sweep = read_json(out / "sweep.json")
        except FileNotFoundError:
            sweep = {}
        except StorageError as error:
            sweep = {}
            found = [*found, {"record": "sweep.json", "problem": str(error)}]
        return cls(out, tables, sweep, found)

    @property
    def frontier(self) -> pd.DataFrame:
        return self.tables["frontier"]

    @cached_property
    def styles(self) -> list[FamilyStyle]:
        return family_styles(self.tables["architectures"]["family"])

    @cached_property
    def datasets(self) -> list[dict[str, Any]]:
        """Name, number of images, and whether published Kodak numbers compare;
        Kodak first."""
        images = self.tables["rate_distortion"][["dataset", "image"]]
        groups = images.drop_duplicates().groupby("dataset")["image"]
        found = [
            {
                "name": name,
                "images": len(names),
                "kodak": baselines.is_kodak(set(names)),
            }
            for name, names in groups
        ]
        named = {dataset["name"] for dataset in found}
        found += [
            {"name": name, "images": 0, "kodak": False}
            for name in self.frontier["dataset"].dropna().unique()
            if name not in named
        ]
        return sorted(found, key=lambda dataset: not dataset["kodak"])

    @cached_property
    def devices(self) -> list[dict[str, Any]]:
        """Hardware with decode times, most timed first, with its stages."""
        stages: dict[str, list[str]] = {}
        for column in self.frontier:
            if column.startswith("decode_ms."):
                _, device, stage = column.split(".")
                stages.setdefault(device, []).append(stage)
        hardware = self.tables["hardware"].set_index("hardware_id")["device_kind"]
        return [
            {"id": device, "name": hardware.get(device, device), "stages": found}
            for device, found in stages.items()
        ]

    @cached_property
    def rank_correlations(self) -> pd.DataFrame:
        return flops_against_time(self.frontier)

    @cached_property
    def configurations(self) -> pd.Series:
        """Per `arch_id`: the fields in which its family's members differ."""
        architectures = self.tables["architectures"]
        flat = [dict(_flat(json.loads(c))) for c in architectures["config_json"]]
        values: dict[tuple[str, str], set[str]] = {}
        for family, config in zip(architectures["family"], flat, strict=True):
            for key, value in config.items():
                values.setdefault((family, key), set()).add(value)
        texts = [
            ", ".join(
                f"{k}={v}" for k, v in config.items() if len(values[family, k]) > 1
            )
            for family, config in zip(architectures["family"], flat, strict=True)
        ]
        return pd.Series(texts, index=architectures["arch_id"])

    @cached_property
    def cost_breakdown(self) -> pd.DataFrame:
        """kFLOPs/px by decoder component: rows are labels, cheapest first.

        The frontier's and the named architectures, then others up to 30.
        """
        architectures = self.tables["architectures"].set_index("arch_id")
        frontier = self.frontier.groupby("arch_id")["on_frontier"].any()
        parts = self.tables["complexity"]
        parts = parts[parts["side"] == "decode"]
        costs = parts.pivot_table(
            "macs_per_px", "arch_id", "component", aggfunc="sum", sort=False
        ).fillna(0.0)
        chosen = pd.DataFrame(
            {
                "shown_first": frontier.reindex(costs.index, fill_value=False)
                | architectures["name"].reindex(costs.index).notna(),
                "kflops": costs.sum(axis=1),
            }
        )
        chosen = chosen.sort_values(
            ["shown_first", "kflops"], ascending=[False, True], kind="stable"
        )
        chosen = chosen.head(_MAX_BARS).sort_values("kflops", kind="stable")
        shown = costs.loc[chosen.index] * 2 / 1000
        kinds = architectures.loc[shown.index]
        names = kinds["name"].fillna(pd.Series(shown.index.str[:8], shown.index))
        shown.index = pd.Index(names + "  " + kinds["family"], name="architecture")
        return shown.loc[:, (shown > 0).any()]

    @property
    def title(self) -> str:
        grid = self.sweep.get("grid") or self.out.resolve().name
        names = ", ".join(dataset["name"] for dataset in self.datasets)
        title = f"Rate-distortion-computation frontier of {grid}"
        return f"{title} on {names}" if names else f"{title}, nothing evaluated yet"

    def summary(self) -> str:
        """One line: how much of what was planned was measured, and how trained."""
        runs = self.tables["runs"]
        families = self.tables["architectures"]["family"].nunique()
        measured = self.frontier.loc[self.frontier["state"] == "measured", "run_id"]
        parts = [
            f"{len(self.tables['architectures'])} architectures in {families} families",
            f"{measured.nunique()} of {len(runs)} runs measured",
        ]
        for name, template in (
            ("lmbda", "lambda {}"),
            ("steps", "{} steps"),
            ("batch_size", "batch {}"),
            ("crop_px", "{} px crops"),
        ):
            values = sorted(runs[name].dropna().unique())
            if len(values) > 3:
                values = [values[0], "…", values[-1]]
            texts = [v if isinstance(v, str) else f"{v:,g}" for v in values]
            parts.append(template.format(" / ".join(texts)))
        return " · ".join(parts)

    def payload(self) -> dict[str, Any]:
        """What the page's script reads, JSON-ready."""
        table = self.frontier
        texts = ("run_id", "arch_id", "name", "status", "evaluation_status", "state")
        numbers = [
            *("kflops_per_px", "params_total", "params_decoder", "lmbda", "steps"),
            *("batch_size", "crop_px", "seed", "images", "bpp", "bpp_estimated"),
            *("psnr_db", "ms_ssim", "rd_loss"),
        ]
        numbers += [c for c in table if c.split(".")[0] in STATISTICS and "." in c]
        columns: dict[str, Any] = {name: _texts(table[name]) for name in texts}
        for name in ("family", "dataset", "distortion", "differs_in"):
            columns[name] = _texts(table[name])
        columns |= {name: _numbers(table[name]) for name in numbers}
        errors = self.tables["runs"].set_index("run_id")["error"]
        columns["error"] = _texts(table["run_id"].map(errors))
        columns["config"] = _texts(table["arch_id"].map(self.configurations))
        bars = self.cost_breakdown
        points, models = baselines.kodak(), references.kodak()
        return {
            "families": [asdict(style) for style in self.styles],
            "datasets": self.datasets,
            "devices": self.devices,
            "stages": list(STAGES),
            "points": columns,
            "components": list(bars.columns),
            "bars": [
                {"label": label, "values": [round(v, 4) for v in values]}
                for label, *values in bars.itertuples()
            ],
            "baselines": [
                {
                    "codec": codec,
                    "label": label,
                    "source": f"{rows['source_repo'].iloc[0]} "
                    f"{rows['source_path'].iloc[0]}",
                    "bpp": _numbers(rows["bpp"]),
                    "psnr_db": _numbers(rows["psnr_db"]),
                }
                for codec, label in baselines.LABELS.items()
                for rows in [points[points["codec"] == codec]]
            ],
            "references": models[list(_REFERENCE)].to_dict("records"),
        }


def _states(frontier: pd.DataFrame) -> pd.Series:
    states = frontier["status"].map(_STATE_OF_STATUS).fillna("failed")
    trained = frontier["status"] == "ok"
    states[trained] = "not evaluated"
    states[trained & (frontier["evaluation_status"] == "ok")] = "measured"
    return states


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{path}.{key}" if path else key)
        ]
    if isinstance(value, list):
        return [(path, "/".join(str(v) for v in value))]
    return [(path, str(value))]


def _texts(column: pd.Series) -> dict[str, list]:
    """Distinct values once, and their positions; null is -1."""
    codes, values = pd.factorize(column)
    return {"values": list(values), "codes": codes.tolist()}


def _numbers(column: pd.Series) -> list[float | int | None]:
    """Six significant digits: more than any measurement has."""
    return [
        None if v != v else int(v) if v == int(v) else float(f"{v:.6g}")
        for v in column.astype(float).tolist()
    ]
