"""What the report shows of one sweep: its tables, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import baselines, notices
from analysis.codec_points import (
    classical_measures,
    classical_points,
    codec_points,
    overfitted_measures,
)
from analysis.decode_estimates import network_estimates
from analysis.decode_times import DecodeTimes
from analysis.frontier_table import SETTINGS, on_frontier
from analysis.image_sets import image_set_id
from analysis.measures import DEFAULT_OBJECTIVES, Measure, measures_of, objectives_note
from analysis.names import configurations, labels
from analysis.ranks import (
    between_devices,
    flops_against_estimates,
    flops_against_time,
    inversions,
)
from analysis.reference_points import claims
from analysis.report.style import FamilyStyle, family_styles
from analysis.tables import POINT, read_tables
from analysis.task_methods import TaskMethod, is_reference, task_methods
from rdc.errors import StorageError
from rdc.jobs.layout import SWEEP_FILE
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


@dataclass(frozen=True)
class ReportData:
    """Everything that a report of one sweep needs.

    Attributes:
      out: the sweep's folder.
      tables: as `analysis.gather` wrote them; `frontier` has more: a `state`, its codec
        settings as one text `codec`, a `label` of its architecture, the columns of
        `intervals`. It is marked by these objectives.
      objectives: names of `analysis.measures.MEASURES`.
      sweep: OUT/sweep.json, empty where it cannot be read.
      problems: records that were left out.
      elsewhere: jobs that ran on other hardware than planned.
    """

    out: Path
    tables: dict[str, pd.DataFrame]
    objectives: tuple[str, ...]
    sweep: dict[str, Any]
    problems: notices.Notes
    elsewhere: notices.Notes

    @classmethod
    def read(
        cls, out: Path, objectives: Sequence[str] = DEFAULT_OBJECTIVES
    ) -> ReportData:
        """Reads OUT/tables and OUT/sweep.json.

        Raises:
          DataError: where OUT holds no tables.
          ConfigError: an unknown objective.
        """
        out = Path(out)
        tables = read_tables(out)
        frontier = _with_intervals(tables)
        tables["frontier"] = frontier
        frontier["label"] = frontier["arch_id"].map(labels(tables["architectures"]))
        frontier["state"] = _states(frontier)
        frontier["codec"] = codec_texts(frontier)
        frontier["on_frontier"] = on_frontier(frontier, objectives)
        frontier["frontier_objectives"] = objectives_note(objectives)
        found = notices.problems(out)
        try:
            sweep = read_json(out / SWEEP_FILE)
        except FileNotFoundError:
            sweep = {}
        except StorageError as error:
            sweep = {}
            found = [*found, {"record": SWEEP_FILE, "problem": str(error)}]
        elsewhere = notices.elsewhere(out)
        return cls(out, tables, tuple(objectives), sweep, found, elsewhere)

    @property
    def frontier(self) -> pd.DataFrame:
        return self.tables["frontier"]

    @cached_property
    def styles(self) -> list[FamilyStyle]:
        return family_styles(self.tables["architectures"]["family"])

    @cached_property
    def axes(self) -> tuple[Measure, Measure]:
        """Of the plot of the frontier: its first two objectives."""
        first, *others = measures_of(self.objectives)
        rest = (name for name in DEFAULT_OBJECTIVES if name != first.name)
        return first, others[0] if others else measures_of([next(rest)])[0]

    @cached_property
    def datasets(self) -> list[dict[str, Any]]:
        """Name, number of images, and whether published Kodak numbers compare;
        Kodak first."""
        kodak = image_set_id(baselines.KODAK_IMAGES)
        # Of several sets under one name, which points are marked for, the largest.
        sets = pd.concat([self.frontier, self.codec_points]).dropna(subset=["dataset"])
        sets = sets.sort_values("images", kind="stable", ascending=False)
        sets = sets.drop_duplicates("dataset").sort_values("dataset")
        found = [
            {
                "name": row.dataset,
                "images": 0 if pd.isna(row.images) else int(row.images),
                "kodak": row.image_set == kodak,
            }
            for row in sets.itertuples()
        ]
        return sorted(found, key=lambda dataset: not dataset["kodak"])

    @cached_property
    def codecs(self) -> list[str]:
        """The codec settings that points were evaluated with, commonest first."""
        return list(self.frontier["codec"].value_counts().index)

    @cached_property
    def codec_points(self) -> pd.DataFrame:
        """Of codecs without a model, as `analysis.codec_points.codec_points`."""
        return codec_points(self.tables["codecs"])

    @cached_property
    def classical(self) -> pd.DataFrame:
        """Of the classical ones among them."""
        return classical_points(self.tables["codecs"])

    @cached_property
    def other_codecs(self) -> pd.DataFrame:
        """Codecs without a model, as `analysis.codec_points.overfitted_measures`: the
        overfitted ones, and the classical ones at the lambdas of all others.
        """
        codecs = self.tables["codecs"]
        overfitted = overfitted_measures(codecs)
        lmbdas = {*overfitted["lmbda"], *self.frontier["lmbda"].dropna()}
        return pd.concat([overfitted, classical_measures(codecs, sorted(lmbdas))])

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Published codecs at the lambdas of the points, as
        `analysis.reference_points.claims`; they are of Kodak."""
        return claims(sorted(self.frontier["lmbda"].dropna().unique()))

    @cached_property
    def decode_times(self) -> DecodeTimes:
        return DecodeTimes.of(self.tables["decode_times"])

    @cached_property
    def devices(self) -> list[dict[str, Any]]:
        """Hardware with decode times, most timed first, with its stages and the
        conditions of its times."""
        kinds = self.tables["hardware"].set_index("hardware_id")["device_kind"]
        stages: dict[str, list[str]] = {}
        for column in self.frontier:
            if column.startswith("decode_ms."):
                _, device, stage = column.split(".")
                stages.setdefault(device, []).append(stage)
        usual = self.decode_times.conditions.set_index("hardware_id")
        return [
            {
                "id": device,
                "name": kinds.get(device, device),
                "stages": found,
                "conditions": ", ".join(
                    f"{name.replace('_', ' ')} {value}"
                    for name, value in usual.loc[device].items()
                ),
            }
            for device, found in stages.items()
        ]

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Of decoders on devices that are not at hand, never among times."""
        return network_estimates(self.tables)

    @cached_property
    def rank_correlations(self) -> pd.DataFrame:
        return flops_against_time(self.frontier)

    @cached_property
    def ranks_between_devices(self) -> pd.DataFrame:
        return between_devices(self.frontier)

    @cached_property
    def inversions(self) -> pd.DataFrame:
        return inversions(self.frontier)

    @cached_property
    def estimated_ranks(self) -> pd.DataFrame:
        return flops_against_estimates(self.estimates)

    @cached_property
    def configurations(self) -> pd.Series:
        return configurations(self.tables["architectures"])

    @cached_property
    def task_methods(self) -> list[TaskMethod]:
        """Of tasks behind a codec; none where the sweep has no task."""
        return task_methods(self.tables["task_answers"])

    @cached_property
    def labels(self) -> pd.Series:
        """Per `arch_id`."""
        return labels(self.tables["architectures"])

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
        names, family = self.labels[shown.index], architectures["family"][shown.index]
        own = architectures["name"][shown.index].notna()
        names = names.where(~own, names + "  " + family)
        shown.index = pd.Index(names, name="architecture")
        return shown.loc[:, (shown > 0).any()]

    @property
    def title(self) -> str:
        grid = self.sweep.get("grid") or self.out.resolve().name
        found = [dataset["name"] for dataset in self.datasets]
        names = ", ".join(found or sorted({m.dataset for m in self.task_methods}))
        title = f"Rate-distortion-computation frontier of {grid}"
        return f"{title} on {names}" if names else f"{title}, nothing evaluated yet"

    def summary(self) -> str:
        """One line: how much of what was planned was measured, and how trained; of a
        task, how many methods.
        """
        methods = [m for m in self.task_methods if not is_reference(m)]
        told = (
            f"{len({m.label for m in methods})} methods of a task at {len(methods)} "
            "settings"
        )
        runs = self.tables["runs"]
        if methods and runs.empty:
            return told
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
            values = sorted(self.frontier[name].dropna().unique())
            if len(values) > 3:
                values = [values[0], "…", values[-1]]
            texts = [v if isinstance(v, str) else f"{v:,g}" for v in values]
            parts.append(template.format(" / ".join(texts)))
        return " · ".join([*parts, told] if methods else parts)


def _with_intervals(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    intervals = tables["intervals"].drop(columns="schema_version")
    keys = [*POINT, "dataset", *SETTINGS]
    return tables["frontier"].merge(intervals, "left", keys)


def _states(frontier: pd.DataFrame) -> pd.Series:
    states = frontier["status"].map(_STATE_OF_STATUS).fillna("failed")
    trained = frontier["status"] == "ok"
    states[trained] = "not evaluated"
    states[trained & (frontier["evaluation_status"] == "ok")] = "measured"
    return states


def codec_texts(frontier: pd.DataFrame) -> pd.Series:
    """Like "range, native, effort 0"; null where nothing was measured or timed."""
    distinct = frontier[SETTINGS].drop_duplicates()
    texts = [
        None
        if pd.isna(coder)
        else f"{coder}, {numerics}"
        + ("" if pd.isna(effort) else f", effort {effort:.0f}")
        for coder, numerics, effort in distinct.itertuples(index=False)
    ]
    named = distinct.assign(codec=pd.array(texts, dtype="str"))
    return frontier[SETTINGS].merge(named, "left", SETTINGS)["codec"]
