"""`OUT/plan.parquet`: one row per run, with the columns of `PlanRow`."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from rdc.errors import ConfigError, StorageError
from rdc.jobs.layout import PLAN_FILE
from rdc.jobs.plan_row import Cost, PlanRow
from rdc.system.files import write_bytes_atomically
from sweeps.plan import Plan

_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    tuple[float, ...]: pa.list_(pa.float64()),
}


def _schema() -> pa.Schema:
    """The columns of `PlanRow`, in its order."""
    hints = get_type_hints(PlanRow)
    columns = []
    for column in dataclasses.fields(PlanRow):
        hint = hints[column.name]
        kind = next(t for t in _ARROW if hint in (t, t | None))
        columns.append((column.name, _ARROW[kind]))
    return pa.schema(columns)


SCHEMA = _schema()


def write_plan(out: Path, plan: Plan) -> Path:
    """Writes `OUT/plan.parquet`, one row per run."""
    rows = [run.row().to_dict() for run in plan.runs]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer)
    path = Path(out) / PLAN_FILE
    write_bytes_atomically(path, buffer.getvalue())
    return path


def read_plan(out: Path) -> list[PlanRow]:
    """The rows of `OUT/plan.parquet`; none where there is no such file.

    Raises:
      StorageError: the file is damaged.
      ConfigError: another version of this program wrote it.
    """
    path = Path(out) / PLAN_FILE
    if not path.exists():
        return []
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise StorageError(
            f"{path} is a parquet file", error, "delete it; it is derived"
        ) from error
    if table.column_names != SCHEMA.names:
        differing = sorted(set(table.column_names) ^ set(SCHEMA.names))
        raise ConfigError(
            f"{path} has the columns of this version",
            f"a difference in {', '.join(differing)}",
            "choose another out=DIR",
        )
    return [PlanRow.from_dict(row, PLAN_FILE) for row in table.to_pylist()]


def known_costs(rows: Iterable[PlanRow]) -> dict[str, Cost]:
    """Counted costs by arch_id, from the rows of an earlier plan."""
    return {row.arch_id: row.cost for row in rows if row.cost is not None}
