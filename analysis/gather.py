"""From the plan and the records of a sweep to the tables that plots read."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.curves import curves_table
from analysis.frontier_table import SETTINGS, frontier_table
from analysis.measures import DEFAULT_OBJECTIVES
from analysis.notices import write_notices
from analysis.records import folders, read_records
from analysis.tables import SCHEMA_VERSION, TABLES, columns, typed, write_table
from rdc.errors import DataError, StorageError
from rdc.jobs.job import CodecJob, EvaluateJob, TrainJob
from rdc.jobs.layout import (
    ATTEMPTS_FOLDER,
    OUT_SCHEMA_VERSION,
    PLAN_FILE,
    PROGRESS_FILE,
    RECORD_FILE,
    SWEEP_FILE,
    job_folder,
)
from rdc.jobs.plan_row import PlanRow
from rdc.system.files import read_json

_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 60  # a live attempt writes its progress about once a second
_DETAILS = (
    *("rate_distortion", "codecs", "decode_times", "component_times"),
    *("decode_estimates", "training_estimates", "hardware"),
)


def gather(
    out: Path, objectives: Sequence[str] = DEFAULT_OBJECTIVES
) -> dict[str, pd.DataFrame]:
    """Rebuilds OUT/tables/*.parquet from OUT/plan.parquet and the job records.

    A record that cannot be read is logged, kept in `analysis.notices` and left out; its
    run counts as pending. Runs that are planned and not done have rows too.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`.

    Intervals come later, by `analysis.uncertainty.resample`.

    Returns:
      The tables by name, columns as in `analysis.tables.columns`.

    Raises:
      DataError: where OUT holds no plan, or is of another version.
      ConfigError: an unknown objective.
      StorageError: where the tables cannot be written.
    """
    out = Path(out)
    _check_version(out)
    plan = _read_plan(out)
    rows = read_records(out)
    jobs = _without_outdated(rows["jobs"].to_pandas())
    for record, problem in write_notices(out, jobs):
        _log.warning("left out %s: %s", record, problem)

    tables = {name: rows[name].to_pandas() for name in _DETAILS}
    if len(jobs) < len(rows["jobs"]):
        for name in ("rate_distortion", "codecs"):
            current = tables[name]["record"].isin(jobs["record"])
            tables[name] = tables[name][current].reset_index(drop=True)
    tables["codecs"] = _newest_last(tables["codecs"], jobs)
    tables = {name: table.drop(columns="record") for name, table in tables.items()}
    tables["hardware"] = tables["hardware"].drop_duplicates(
        "hardware_id", keep="last", ignore_index=True
    )
    tables["codecs"] = tables["codecs"].drop_duplicates(
        ["codec_id", "effort", "dataset", "setting", "image"],
        keep="last",
        ignore_index=True,
    )
    tables["architectures"] = plan[list(columns("architectures"))].drop_duplicates(
        "arch_id", ignore_index=True
    )
    tables["complexity"] = _complexity(plan)
    tables["runs"] = _runs(out, plan, jobs)
    tables["points"] = _points(plan)
    tables["frontier"] = frontier_table(tables, jobs, objectives)
    tables["curves"] = curves_table(tables["frontier"], tables["codecs"])

    tables["intervals"] = pd.DataFrame(columns=list(columns("intervals")))
    for name in TABLES:
        table = typed(name, tables[name])
        write_table(out, name, table)
        tables[name] = table.to_pandas().assign(schema_version=SCHEMA_VERSION)
    return tables


def _check_version(out: Path) -> None:
    try:
        version = read_json(out / SWEEP_FILE).get("schema_version")
    except (FileNotFoundError, StorageError):  # the plan's columns tell as well
        return
    if version != OUT_SCHEMA_VERSION:
        raise _of_another_version(out, f"{SWEEP_FILE} of version {version}")


def _of_another_version(out: Path, found: str) -> DataError:
    return DataError(
        f"{out} is the output of a sweep of version {OUT_SCHEMA_VERSION}",
        found,
        "run the sweep again with another out=DIR, or read this one with the version "
        "of the program that made it",
    )


def _read_plan(out: Path) -> pd.DataFrame:
    path = out / PLAN_FILE
    remedy = f"plan the sweep first: python launch/sweep.py +grid=NAME out={out}"
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(
            "the output of a sweep holds its plan", f"no {path}", remedy
        ) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is a parquet file", error, remedy) from error
    needed = {field.name for field in dataclasses.fields(PlanRow)}
    missing = sorted(needed - set(table.column_names))
    if missing:
        names = ", ".join(missing)
        raise _of_another_version(out, f"a {PLAN_FILE} without {names}")
    return table.to_pandas()


def _without_outdated(jobs: pd.DataFrame) -> pd.DataFrame:
    """Of several measurements of one thing on one image set, only the newest.

    The images behind the set's name have changed, and a mean over both means nothing.
    Evaluations with other codec settings are of another thing; so are settings of a
    classical codec that were measured later, on the same images.
    """
    usable = jobs[jobs["problem"].isna()].sort_values("mtime_ns", kind="stable")
    evaluations = usable[usable["stage"] == EvaluateJob.stage]
    keys = ["run_id", "dataset", *SETTINGS]
    newest = evaluations.drop_duplicates(keys, keep="last")
    outdated = evaluations.index.difference(newest.index)
    codecs = usable[usable["stage"] == CodecJob.stage]
    current = codecs.groupby(["codec_id", "dataset"])["data_sha256"].transform("last")
    outdated = outdated.union(codecs.index[codecs["data_sha256"] != current])
    return jobs.drop(outdated)


def _newest_last(rows: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order in which their records were written."""
    written = rows["record"].map(jobs.set_index("record")["mtime_ns"])
    return rows.loc[written.sort_values(kind="stable").index]


def _complexity(plan: pd.DataFrame) -> pd.DataFrame:
    counted = plan[plan["components_json"].notna()].drop_duplicates("arch_id")
    rows = [
        {"arch_id": arch_id, **component}
        for arch_id, components in zip(
            counted["arch_id"], counted["components_json"], strict=True
        )
        for component in json.loads(components)
    ]
    return pd.DataFrame(rows, columns=list(columns("complexity")))


def _runs(out: Path, plan: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """One row per planned run; what really happened wins over what was planned."""
    trained = jobs[(jobs["stage"] == TrainJob.stage) & jobs["problem"].isna()]
    unplanned = [name for name in columns("runs") if name not in plan]
    both = ["steps", "batch_size"]
    runs = plan.merge(
        trained[["run_id", *unplanned, *both]],
        on="run_id",
        how="left",
        suffixes=("_planned", ""),
    )
    for name in both:
        runs[name] = runs[name].fillna(runs[f"{name}_planned"])
    runs = runs[list(columns("runs"))]
    _fill_unfinished(out, runs, jobs)
    return runs


def _points(plan: pd.DataFrame) -> pd.DataFrame:
    """One row per run and rate."""
    table = plan[["run_id", "curve_id", "rates"]].explode("rates")
    table["rate"] = table.groupby("run_id").cumcount()
    table = table.rename(columns={"rates": "lmbda"}).reset_index(drop=True)
    return table[list(columns("points"))].astype({"lmbda": float})


def _fill_unfinished(out: Path, runs: pd.DataFrame, jobs: pd.DataFrame) -> None:
    unreadable = {
        record.split("/")[-2]: problem
        for record, problem in zip(jobs["record"], jobs["problem"], strict=True)
        if isinstance(problem, str)
    }
    now = time.time()
    unfinished = runs.index[runs["status"].isna()]
    states = [
        (*_attempts(out, run_id, now), unreadable.get(run_id))
        for run_id in runs.loc[unfinished, "run_id"]
    ]
    for name, values in zip(
        ("attempts", "status", "error"), zip(*states, strict=True), strict=False
    ):
        runs.loc[unfinished, name] = list(values)


def _attempts(out: Path, run_id: str, now: float) -> tuple[int, str]:
    """Attempts of a run without record, and whether one is at work."""
    attempts = f"{job_folder(out, TrainJob.folder_name, run_id)}/{ATTEMPTS_FOLDER}"
    names = folders(attempts)
    for name in names:
        try:
            written = os.stat(f"{attempts}/{name}/{PROGRESS_FILE}").st_mtime
        except FileNotFoundError:
            continue
        ended = os.path.exists(f"{attempts}/{name}/{RECORD_FILE}")
        if now - written < _PROGRESS_SECONDS and not ended:
            return len(names), "running"
    return len(names), "pending"
