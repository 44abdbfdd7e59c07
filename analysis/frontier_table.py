"""The `frontier` table: one row per point, image set and codec settings.

It is what every plot reads. Per device and stage it has four more columns, named after
what they hold: `decode_ms.HARDWARE_ID.STAGE` (median over the repeats),
`decode_ms_q25.…`, `decode_ms_q75.…` and `mpx_per_s.…`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.comparability import compares, differs_in
from analysis.decode_estimates import network_estimates, with_estimates
from analysis.decode_times import DecodeTimes, with_times
from analysis.frontier import pareto_mask
from analysis.image_sets import image_set_ids
from analysis.measures import (
    MEASURES,
    compared_within,
    image_means,
    measures_of,
    objectives_note,
)
from analysis.tables import CODEC_SETTINGS, POINT, columns
from rdc.jobs.job import EvaluateJob

SETTINGS = list(CODEC_SETTINGS)
_KEYS = [*POINT, "dataset", *SETTINGS]


def frontier_table(tables: dict[str, pd.DataFrame], jobs: pd.DataFrame) -> pd.DataFrame:
    """Joins the other tables; what follows from whole curves is not in it yet.

    Args:
      tables: the other tables, as in `analysis.tables.columns`.
      jobs: one row per record, as in `analysis.records.ROWS`.

    Returns:
      One row per point and evaluation of it. A point that was not evaluated on an
      image set has one with the codec settings that were usual there (all null before
      the first evaluation); unmeasured values are null.
    """
    table = tables["points"].merge(tables["runs"], on="run_id", how="left")
    table = table.merge(tables["architectures"], on="arch_id", how="left")
    table = _evaluated(table, jobs, tables["decode_times"])
    table = table.merge(_quality(tables), "left", _KEYS)
    table["differs_in"] = differs_in(table, ["dataset", *SETTINGS])
    table = with_times(table, DecodeTimes.of(tables["decode_times"]))
    table = with_estimates(table, network_estimates(tables))
    for measure in MEASURES.values():
        if measure.of == "point":
            table[measure.name] = measure.column(table)
    return table


def marked(table: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The table with its frontier marked, in the columns of `frontier` and its own.

    Args:
      objectives: names of `analysis.measures.MEASURES`.
    """
    table = table.copy()
    table["on_frontier"] = on_frontier(table, objectives)
    table["frontier_objectives"] = objectives_note(objectives)
    own = [name for name in table if "." in str(name)]
    return table[[*columns("frontier"), *own]]


def _evaluated(
    points: pd.DataFrame, jobs: pd.DataFrame, times: pd.DataFrame
) -> pd.DataFrame:
    """A row per point and evaluation of its run, or image set that lacks one."""
    found = (jobs["stage"] == EvaluateJob.stage) & jobs["problem"].isna()
    evaluations = jobs.loc[found, ["run_id", "dataset", *SETTINGS, "status"]]
    evaluations = evaluations.rename(columns={"status": "evaluation_status"})
    usual = _usual_settings(evaluations, times)
    table = points.assign(order=range(len(points))).merge(usual, how="cross")
    done = pd.MultiIndex.from_frame(evaluations[["run_id", "dataset"]])
    missing = ~pd.MultiIndex.from_frame(table[["run_id", "dataset"]]).isin(done)
    gaps = table[missing].assign(evaluation_status="pending")
    points = points.assign(order=range(len(points)))
    parts = [points.merge(evaluations, on="run_id"), gaps]
    table = pd.concat([part for part in parts if len(part)] or parts[1:])
    kinds = table.groupby(["dataset", *SETTINGS], dropna=False).ngroup()
    order = np.lexsort((kinds, table["order"]))
    return table.iloc[order].drop(columns="order").reset_index(drop=True)


def _usual_settings(evaluations: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """The commonest codec settings on each image set, one row each.

    Before the first evaluation: one row of no image set, with those of decode times.
    """
    if len(evaluations):
        counts = evaluations.value_counts(["dataset", *SETTINGS]).sort_index()
        counts = counts.sort_values(kind="stable", ascending=False).reset_index()
        usual = counts.drop_duplicates("dataset")[["dataset", *SETTINGS]]
        return usual.sort_values("dataset", ignore_index=True)
    timed = times.value_counts(["coder", "numerics"]).index[:1].to_frame(index=False)
    nothing = pd.DataFrame({"dataset": pd.array([None], dtype="str"), "effort": None})
    return nothing.join(timed).astype({"effort": float})[["dataset", *SETTINGS]]


def _quality(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Means over the images, and how many and which they are."""
    weights = tables["points"][[*POINT, "lmbda"]]
    images = tables["rate_distortion"].merge(weights, on=list(POINT))
    distortions = tables["runs"].set_index("run_id")["distortion"]
    images["distortion"] = images["run_id"].map(distortions)
    return image_means(images, _KEYS).merge(image_set_ids(images, _KEYS), on=_KEYS)


def on_frontier(table: pd.DataFrame, objectives: Sequence[str]) -> pd.Series:
    """Marks the points that none dominates: among those that compare, and no others.

    Points that were made under other conditions than most are on no frontier and keep
    none from it, unless the objectives' groups hold these conditions equal.

    Args:
      table: with the columns of `frontier`.
    """
    mask = pd.Series(False, index=table.index)
    chosen, within = measures_of(objectives), compared_within(objectives)
    names, minimise = [m.name for m in chosen], [m.minimise for m in chosen]
    measured = (table["status"] == "ok") & (table["evaluation_status"] == "ok")
    rows = table[measured & compares(table["differs_in"], within)]
    for _, group in rows.groupby(["dataset", *SETTINGS, *within]):
        mask[group.index] = pareto_mask(group[names].to_numpy(float), minimise)
    return mask
