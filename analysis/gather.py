"""From the plan and the records of a sweep to the tables that plots read."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.comparability import recipes
from analysis.frontier_table import frontier_table
from analysis.records import folders, read_records
from analysis.tables import COLUMNS, schema, write_table
from rdc.errors import DataError
from rdc.jobs.job import JOB_KINDS, EvaluateJob
from rdc.system.files import read_json, write_json_atomically

_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 60  # a live attempt writes its progress about once a second


def gather(out: Path) -> dict[str, pd.DataFrame]:
    """Rebuilds OUT/tables/*.parquet from OUT/plan.parquet and the job records.

    A record that cannot be read is logged, listed by `problems` and left out; its run
    counts as pending. Runs that are planned and not done have rows too.

    Returns:
      The tables by name, columns as in `analysis.tables.COLUMNS`.

    Raises:
      DataError: where OUT holds no plan.
      StorageError: where the tables cannot be written.
    """
    out = Path(out)
    plan = _read_plan(out)
    rows = read_records(out)
    every_job = rows["jobs"].to_pandas()
    jobs = _without_outdated(every_job)
    _report_problems(out, jobs)

    tables = {name: rows[name].to_pandas() for name in _DETAILS}
    if len(jobs) < len(every_job):
        images = tables["rate_distortion"]
        current = images["record"].isin(jobs["record"])
        tables["rate_distortion"] = images[current].reset_index(drop=True)
    tables = {name: table.drop(columns="record") for name, table in tables.items()}
    tables["hardware"] = tables["hardware"].drop_duplicates(
        "hardware_id", keep="last", ignore_index=True
    )
    tables["architectures"] = plan[list(COLUMNS["architectures"])].drop_duplicates(
        "arch_id", ignore_index=True
    )
    tables["complexity"] = _complexity(plan)
    tables["runs"] = _runs(out, plan, jobs)
    tables["frontier"] = frontier_table(tables, jobs)

    for name in COLUMNS:
        tables[name] = _typed(name, tables[name])
        write_table(out, name, pa.Table.from_pandas(tables[name], preserve_index=False))
        tables[name]["schema_version"] = 1
    return tables


def problems(out: Path) -> list[dict[str, str]]:
    """Records that the last `gather` left out: `record` and `problem` of each."""
    try:
        return read_json(_problems_path(out))["problems"]
    except FileNotFoundError:
        return []


_DETAILS = ("rate_distortion", "decode_times", "hardware")


def _read_plan(out: Path) -> pd.DataFrame:
    path = out / "plan.parquet"
    remedy = f"plan the sweep first: python launch/sweep.py +grid=NAME out={out}"
    try:
        return pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise DataError(
            "the output of a sweep holds its plan", f"no {path}", remedy
        ) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is a parquet file", error, remedy) from error


def _without_outdated(jobs: pd.DataFrame) -> pd.DataFrame:
    """Of several evaluations of a run on one image set, only the newest: the images
    behind the name have changed, and a mean over both sets means nothing."""
    keys = ["run_id", "dataset"]
    evaluations = jobs[(jobs["stage"] == EvaluateJob.stage) & jobs["problem"].isna()]
    newest = evaluations.sort_values("mtime_ns", kind="stable").drop_duplicates(
        keys, keep="last"
    )
    return jobs.drop(evaluations.index.difference(newest.index))


def _report_problems(out: Path, jobs: pd.DataFrame) -> None:
    found = jobs.loc[jobs["problem"].notna(), ["record", "problem"]]
    for record, problem in found.itertuples(index=False):
        _log.warning("left out %s: %s", record, problem)
    value = {"problems": found.to_dict("records")}
    write_json_atomically(_problems_path(out), value, durable=False)


def _problems_path(out: Path) -> Path:
    return Path(out) / "tables" / "problems.json"


def _complexity(plan: pd.DataFrame) -> pd.DataFrame:
    counted = plan[plan["components_json"].notna()].drop_duplicates("arch_id")
    rows = [
        {"arch_id": arch_id, **component}
        for arch_id, components in zip(
            counted["arch_id"], counted["components_json"], strict=True
        )
        for component in json.loads(components)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["complexity"]))


def _runs(out: Path, plan: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """One row per planned run; what really happened wins over what was planned."""
    trained = jobs[(jobs["stage"] == "train") & jobs["problem"].isna()]
    measured = [name for name in COLUMNS["runs"] if name in trained]
    runs = plan.merge(
        trained[measured], on="run_id", how="left", suffixes=("_planned", "")
    )
    for name in ("steps", "batch_size"):
        runs[name] = runs[name].fillna(runs[f"{name}_planned"])
    recipe = recipes(runs["train_json"])
    for name in ("distortion", "precision"):
        runs[name] = recipe[name]
    runs = runs[list(COLUMNS["runs"])]
    _fill_unfinished(out, runs, jobs)
    return runs


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
    runs = JOB_KINDS["train"].folder_name
    attempts = f"{out}/{runs}/{run_id[:2]}/{run_id}/attempts"
    names = folders(attempts)
    for name in names:
        try:
            written = os.stat(f"{attempts}/{name}/progress.json").st_mtime
        except FileNotFoundError:
            continue
        ended = os.path.exists(f"{attempts}/{name}/record.json")
        if now - written < _PROGRESS_SECONDS and not ended:
            return len(names), "running"
    return len(names), "pending"


def _typed(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the types of its schema, columns of its own after it."""
    own = [column for column in table if column not in COLUMNS[name]]
    ordered = table[[*COLUMNS[name], *own]]
    arrow = pa.Table.from_pandas(ordered, preserve_index=False)
    fields = [*schema(name), *(arrow.schema.field(column) for column in own)]
    return arrow.cast(pa.schema(fields)).to_pandas()
