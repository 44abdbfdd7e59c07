"""From the plan and the records of a sweep to the tables that plots read."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.bd_measure import with_bd_rates
from analysis.curves import curves_table
from analysis.frontier_table import SETTINGS, frontier_table, marked
from analysis.measures import DEFAULT_OBJECTIVES
from analysis.notices import write_notices
from analysis.records import folders, read_records
from analysis.tables import SCHEMA_VERSION, TABLES, columns, typed, write_table
from analysis.task_results import task_results
from rdc.errors import ConfigError, DataError, StorageError
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
from rdc.system.files import read_json, write_json_atomically

_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 60  # a live attempt writes its progress about once a second
_DETAILS = (
    *("rate_distortion", "codecs", "decode_times", "component_times"),
    *("decode_estimates", "training_estimates", "task_answers", "hardware"),
)


def gather(
    out: Path,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    anchor: str | None = None,
) -> dict[str, pd.DataFrame]:
    """Rebuilds OUT/tables/*.parquet from OUT/plan.parquet and the job records.

    A record that cannot be read is logged, kept in `analysis.notices` and left out; its
    run counts as pending. Runs that are planned and not done have rows too.

    Args:
      objectives: of the frontier, names of `analysis.measures.MEASURES`.
      anchor: of the measure `bd_rate_percent`, as in `analysis.curves.curves_table`;
        left out, `analysis.bd_measure.usual_anchor`.

    Intervals come later, by `analysis.uncertainty.resample`.

    Returns:
      The tables by name, columns as in `analysis.tables.columns`.

    Raises:
      DataError: where OUT holds no plan, or is of another version.
      ConfigError: an unknown objective or anchor.
      StorageError: where the tables cannot be written.
    """
    return _gathered([Path(out)], Path(out), objectives, anchor)


def gather_together(
    outs: Sequence[Path],
    into: Path,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    anchor: str | None = None,
) -> dict[str, pd.DataFrame]:
    """As `gather`, of several sweeps: tables go to `into`, which is none of them.

    A run that several have counts once, with the evaluations of the first that trained
    it and the decode times of all.

    Raises:
      ConfigError: `into` is one of the sweeps.
      DataError: as `gather`; or one name means different images in two of them.
    """
    given = [Path(out).resolve() for out in outs]
    if Path(into).resolve() in given:
        raise ConfigError(
            "a common report goes to a folder of its own", into, "choose another into="
        )
    tables = _gathered([Path(out) for out in outs], Path(into), objectives, anchor)
    grids = [str(_sweep(out).get("grid") or out.name) for out in given]
    write_json_atomically(
        Path(into) / SWEEP_FILE,
        {
            "schema_version": OUT_SCHEMA_VERSION,
            "grid": " and ".join(dict.fromkeys(grids)),
            "datasets": {},
            "gathered_from": [str(out) for out in given],
        },
    )
    return tables


def _gathered(
    outs: Sequence[Path], into: Path, objectives: Sequence[str], anchor: str | None
) -> dict[str, pd.DataFrame]:
    for out in outs:
        _check_version(out)
    plans = [_read_plan(out) for out in outs]
    rows = _rows(outs)
    jobs = _without_outdated(rows["jobs"].to_pandas())
    for record, problem in write_notices(into, jobs):
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
    plan = pd.concat(plans).drop_duplicates("run_id", ignore_index=True)
    tables["task_results"] = task_results(tables["task_answers"])
    tables["architectures"] = plan[list(columns("architectures"))].drop_duplicates(
        "arch_id", ignore_index=True
    )
    tables["complexity"] = _complexity(plan)
    tables["runs"] = _runs(outs, plan, jobs)
    tables["points"] = _points(plan)
    points, codecs = frontier_table(tables, jobs), tables["codecs"]
    tables["curves"] = curves_table(points, codecs, anchor)
    points = with_bd_rates(points, tables["curves"], codecs, anchor)
    tables["frontier"] = marked(points, objectives)

    tables["intervals"] = pd.DataFrame(columns=list(columns("intervals")))
    for name in TABLES:
        table = typed(name, tables[name])
        write_table(into, name, table)
        tables[name] = table.to_pandas().assign(schema_version=SCHEMA_VERSION)
    return tables


def _rows(outs: Sequence[Path]) -> dict[str, pa.Table]:
    """Rows of all records; of several sweeps, a record's name begins with its OUT."""
    if len(outs) == 1:
        return read_records(outs[0])
    _check_images(outs)
    parts = []
    for out in outs:
        rows = read_records(out)
        for name, table in rows.items():
            at = table.schema.get_field_index("record")
            names = pc.binary_join_element_wise(str(out), table["record"], "/")
            rows[name] = table.set_column(at, "record", names)
        parts.append(rows)
    return {
        name: pa.concat_tables([rows[name] for rows in parts], promote_options="none")
        for name in parts[0]
    }


def _check_images(outs: Sequence[Path]) -> None:
    known: dict[str, tuple[str, Path]] = {}
    for out in outs:
        dataset = _sweep(out).get("datasets", {}).get("eval", {})
        name, data_sha256 = dataset.get("name"), dataset.get("data_sha256")
        first, where = known.setdefault(name, (data_sha256, out))
        if first != data_sha256:
            raise DataError(
                "sweeps in one report have the same images under one name",
                f"different ones called {name} in {where} and {out}",
                "evaluate one of them on the images of the other",
            )


def _sweep(out: Path) -> dict[str, Any]:
    """OUT/sweep.json; empty where it cannot be read."""
    try:
        return dict(read_json(out / SWEEP_FILE))
    except (FileNotFoundError, StorageError):
        return {}


def _check_version(out: Path) -> None:
    sweep = _sweep(out)
    if not sweep:  # the plan's columns tell as well
        return
    version = sweep.get("schema_version")
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


def _runs(outs: Sequence[Path], plan: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """One row per planned run; what really happened wins over what was planned."""
    trained = jobs[(jobs["stage"] == TrainJob.stage) & jobs["problem"].isna()]
    failed = (trained["status"] != "ok").sort_values(kind="stable")
    trained = trained.loc[failed.index].drop_duplicates("run_id")
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
    _fill_unfinished(outs, runs, jobs)
    return runs


def _points(plan: pd.DataFrame) -> pd.DataFrame:
    """One row per run and rate."""
    table = plan[["run_id", "curve_id", "rates"]].explode("rates")
    table["rate"] = table.groupby("run_id").cumcount()
    table = table.rename(columns={"rates": "lmbda"}).reset_index(drop=True)
    return table[list(columns("points"))].astype({"lmbda": float})


def _fill_unfinished(
    outs: Sequence[Path], runs: pd.DataFrame, jobs: pd.DataFrame
) -> None:
    unreadable = {
        record.split("/")[-2]: problem
        for record, problem in zip(jobs["record"], jobs["problem"], strict=True)
        if isinstance(problem, str)
    }
    now = time.time()
    unfinished = runs.index[runs["status"].isna()]
    states = [
        (*max(_attempts(out, run_id, now) for out in outs), unreadable.get(run_id))
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
