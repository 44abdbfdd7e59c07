"""The job records under OUT, read once each and cached until they change.

The cache (OUT/tables/.cache) holds the same rows that the tables do, each with the
record file that it came from; a record that is unchanged by path, size and time is not
opened again. Deleting the cache costs time and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.record_rows import ROWS, VERSION, RecordFile, Rows, job_row, record_rows
from analysis.tables import write_parquet
from rdc.jobs.job import JOB_KINDS
from rdc.jobs.layout import RECORD_FILE, TABLES_FOLDER

_BATCH = 1000  # records turned into columns at once: bounds memory


def read_records(out: Path) -> dict[str, pa.Table]:
    """Rows of all records under OUT in path order, by `analysis.record_rows.ROWS`.

    A record that cannot be read is one row of `jobs` with a `problem`, and no others.
    """
    files = sorted(_scan(out), key=lambda file: file.record)
    cached = _read_cache(out)
    columns = (cached["jobs"][name].to_pylist() for name in ("record", *VERSION))
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
                record = f"{kind.folder_name}/{prefix}/{job}/{RECORD_FILE}"
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
        for name, new in record_rows(out, file).items():
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
        rows["jobs"] = [job_row(files[0], problem=f"a value of a wrong type: {error}")]
        return {name: pa.Table.from_pylist(rows[name], s) for name, s in ROWS.items()}


def _cache_path(out: Path, name: str) -> Path:
    return out / TABLES_FOLDER / ".cache" / f"{name}.parquet"


def _read_cache(out: Path) -> dict[str, pa.Table]:
    """The cached rows; empty tables where there is no cache of this version."""
    try:
        cached = {name: pq.read_table(_cache_path(out, name)) for name in ROWS}
    except (FileNotFoundError, pa.ArrowInvalid):
        cached = {}
    if all(name in cached and cached[name].schema == s for name, s in ROWS.items()):
        return cached
    return {name: schema.empty_table() for name, schema in ROWS.items()}
