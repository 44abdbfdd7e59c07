"""The job records under OUT, read once each and cached until they change.

The cache (OUT/tables/.cache) holds the same rows that the tables do, each with the
record file that it came from; a record that is unchanged by path, size and time is not
opened again. Deleting the cache costs time and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.tables import COLUMNS, write_parquet
from rdc.errors import RdcError
from rdc.jobs.job import JOB_KINDS, STATUSES
from rdc.system.files import read_json

_BATCH = 1000  # records turned into columns at once: bounds memory

# Of the result of a training, what the table `runs` has.
_TRAINED = (
    *("steps", "batch_size", "accumulate", "devices", "rates_together"),
    *("skipped_images", "skipped_steps", "rollbacks"),
    *("train_seconds", "input_seconds", "checkpoint_seconds", "steps_per_second"),
    *("loss_first", "loss_last"),
)

_FILE = {"record": pa.string()}  # relative to OUT
_VERSION = {"size": pa.int64(), "mtime_ns": pa.int64()}
ROWS: dict[str, pa.Schema] = {
    # One row per record file; `problem` where it could not be used.
    "jobs": pa.schema(
        {
            **_FILE,
            **_VERSION,
            "problem": pa.string(),
            "stage": pa.string(),
            "run_id": pa.string(),
            "dataset": pa.string(),
            "status": pa.string(),
            "error": pa.string(),
            "attempts": pa.int64(),
            "git_sha": pa.string(),
            "jax_version": pa.string(),
            "hardware_id": pa.string(),
            **{name: COLUMNS["runs"][name] for name in _TRAINED},
        }
    ),
    "rate_distortion": pa.schema({**_FILE, **COLUMNS["rate_distortion"]}),
    "decode_times": pa.schema({**_FILE, **COLUMNS["decode_times"]}),
    "hardware": pa.schema({**_FILE, **COLUMNS["hardware"]}),
}
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class RecordFile:
    """A record file as found on disk."""

    record: str
    stage: str
    size: int
    mtime_ns: int

    @property
    def job_id(self) -> str:
        return self.record.split("/")[-2]


def read_records(out: Path) -> dict[str, pa.Table]:
    """Rows of all records under OUT, by the tables of `ROWS`, in path order.

    A record that cannot be read is one row of `jobs` with a `problem`, and no others.
    """
    files = sorted(_scan(out), key=lambda file: file.record)
    cached = _read_cache(out)
    columns = (cached["jobs"][name].to_pylist() for name in ("record", *_VERSION))
    seen = {record: version for record, *version in zip(*columns, strict=True)}
    changed = [f for f in files if seen.get(f.record) != [f.size, f.mtime_ns]]
    if not changed and len(files) == len(seen):
        return cached

    outdated = pa.array([file.record for file in changed], pa.string())
    parts = {
        name: [table.filter(pc.invert(pc.is_in(table["record"], outdated)))]
        for name, table in cached.items()
    }
    for start in range(0, len(changed), _BATCH):
        for name, table in _parse(out, changed[start : start + _BATCH]).items():
            parts[name].append(table)
    order = pa.array([file.record for file in files], pa.string())
    rows = {name: _in_order(pa.concat_tables(parts[name]), order) for name in ROWS}
    for name in reversed(ROWS):  # "jobs", which vouches for the others, comes last
        write_parquet(_cache_path(out, name), rows[name])
    return rows


def _scan(out: Path) -> Iterator[RecordFile]:
    for stage, kind in JOB_KINDS.items():
        for prefix in folders(f"{out}/{kind.folder_name}"):
            for job in folders(f"{out}/{kind.folder_name}/{prefix}"):
                record = f"{kind.folder_name}/{prefix}/{job}/record.json"
                try:
                    stat = os.stat(f"{out}/{record}")
                except FileNotFoundError:
                    continue
                yield RecordFile(record, stage, stat.st_size, stat.st_mtime_ns)


def folders(path: str) -> list[str]:
    """Names of the folders in `path`, hidden ones left out; none where it is not."""
    try:
        with os.scandir(path) as entries:
            return [e.name for e in entries if e.is_dir() and e.name[0] != "."]
    except FileNotFoundError:
        return []


def _in_order(table: pa.Table, records: pa.Array) -> pa.Table:
    """The rows of these record files, in their order."""
    positions = pc.index_in(table["record"], records)
    if positions.null_count:  # records that are gone
        kept = pc.is_valid(positions)
        table, positions = table.filter(kept), positions.filter(kept)
    ranks = positions.to_numpy()
    if (ranks[1:] < ranks[:-1]).any():
        table = table.take(ranks.argsort(kind="stable"))
    return table


def _parse(out: Path, files: list[RecordFile]) -> dict[str, pa.Table]:
    rows: Rows = {name: [] for name in ROWS}
    for file in files:
        for name, new in _rows(out, file).items():
            rows[name] += new
    try:
        return {
            name: pa.Table.from_pylist(rows[name], schema)
            for name, schema in ROWS.items()
        }
    except pa.ArrowException as error:
        if len(files) > 1:  # one of them has a value of a wrong type: find it
            parts = [_parse(out, [file]) for file in files]
            return {name: pa.concat_tables(p[name] for p in parts) for name in ROWS}
        rows = {name: [] for name in ROWS}
        rows["jobs"] = [_job_row(files[0], problem=f"a value of a wrong type: {error}")]
        return {name: pa.Table.from_pylist(rows[name], s) for name, s in ROWS.items()}


def _rows(out: Path, file: RecordFile) -> Rows:
    try:
        record = read_json(out / file.record)
        return _READERS[file.stage](out, file, record)
    except (RdcError, OSError) as error:
        problem = str(error).replace(str(out / file.record), "the record")
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"not a {file.stage} record: {type(error).__name__}: {error}"
    return {"jobs": [_job_row(file, problem=problem)]}


def _job_row(file: RecordFile, **values: Any) -> dict[str, Any]:
    return {
        "record": file.record,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "stage": file.stage,
        **values,
    }


def _common(file: RecordFile, record: dict[str, Any]) -> tuple[dict, Rows]:
    """The row of the job, and the tables that it and its hardware start."""
    if record["status"] not in STATUSES:
        raise KeyError(f"status {record['status']!r}")
    environment = record["environment"]
    job = _job_row(
        file,
        status=record["status"],
        error=record["error"],
        attempts=record["attempt"],
        git_sha=environment.get("git_sha"),
        jax_version=environment.get("jax_version"),
        hardware_id=environment.get("hardware_id"),
    )
    rows: Rows = {"jobs": [job]}
    if environment.get("hardware"):
        rows["hardware"] = [{**environment["hardware"], "record": file.record}]
    return job, rows


def _train_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    job |= {name: record["result"].get(name) for name in _TRAINED}
    job["run_id"] = file.job_id
    return rows


def _evaluate_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    if record["status"] != "ok":  # no result: the job itself says what it was about
        spec = read_json((out / file.record).with_name("spec.json"))
        job |= {"run_id": spec["run_id"], "dataset": spec["dataset"]}
        return rows
    result = record["result"]
    keys = {name: result[name] for name in ("run_id", "dataset")}
    job |= keys
    keys["record"] = file.record
    rows["rate_distortion"] = [{**image, **keys} for image in result["images"]]
    return rows


def _benchmark_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    result = record["result"]
    job["run_id"] = result["run_id"]
    keys = {name: result[name] for name in ("arch_id", "run_id")}
    keys |= {"hardware_id": job["hardware_id"], "record": file.record}
    rows["decode_times"] = [{**time, **keys} for time in result["times"]]
    return rows


_READERS = {
    "train": _train_rows,
    "evaluate": _evaluate_rows,
    "benchmark": _benchmark_rows,
}


def _cache_path(out: Path, name: str) -> Path:
    return out / "tables" / ".cache" / f"{name}.parquet"


def _read_cache(out: Path) -> dict[str, pa.Table]:
    """The cached rows; empty tables where there is no cache of this version."""
    try:
        cached = {name: pq.read_table(_cache_path(out, name)) for name in ROWS}
    except (FileNotFoundError, pa.ArrowInvalid):
        cached = {}
    if all(name in cached and cached[name].schema == s for name, s in ROWS.items()):
        return cached
    return {name: schema.empty_table() for name, schema in ROWS.items()}
