"""The tables of OUT/tables: their columns and types, written whole or not at all.

Columns are the fields of the types that hold the results: a field of a plan row, a
record or a measured row is a column under its own name, and nothing is listed twice.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.measures import MEASURES
from rdc.errors import DataError
from rdc.jobs.layout import TABLES_FOLDER
from rdc.jobs.plan_row import COST_COLUMNS, PlanRow
from rdc.jobs.records import (
    BenchmarkResult,
    CodecResult,
    EstimateResult,
    EvaluateResult,
    SplitResult,
    TrainingEstimateResult,
    TrainingSummary,
)
from rdc.measurements.metrics import METRIC_NAMES
from rdc.measurements.rows import (
    ComponentTime,
    DecodeEstimate,
    DecodeTime,
    ImageMeasurement,
    TaskAnswer,
    TrainingEstimate,
)
from rdc.system.files import write_bytes_atomically

SCHEMA_VERSION = 2

_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}
Columns = dict[str, pa.DataType]


def fields(kind: type) -> Columns:
    """Columns of the fields of a dataclass that hold one value each, null or not."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(a for a in get_args(hint) if a is not type(None))
        if hint in _ARROW:
            found[name] = _ARROW[hint]
    return found


def _only(columns: Columns, names: Iterable[str]) -> Columns:
    return {name: columns[name] for name in names}


def _without(columns: Columns, names: Iterable[str]) -> Columns:
    return {name: kind for name, kind in columns.items() if name not in names}


_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()

# Metrics are a mapping in the measured row, and flat in records and tables.
_IMAGE = {**fields(ImageMeasurement), **dict.fromkeys(METRIC_NAMES, _FLOAT)}
_PLANNED = fields(PlanRow)
_ARCHITECTURE = _only(
    _PLANNED,
    (
        *("arch_id", "name", "family", "transform", "entropy_model"),
        *("hyper_transform", "config_json", *COST_COLUMNS),
    ),
)
# Of a plan row, what is of its training.
_RECIPE = _without(_PLANNED, ("curve_id", "components_json", *_ARCHITECTURE))
CODEC_SETTINGS = _only(fields(EvaluateResult), ("coder", "numerics", "effort"))
POINT = {"run_id": _TEXT, "rate": _INT}
# Methods of `task_answers` that are none: a server answers the photographs themselves,
# or the device does, which sends nothing.
REMOTE, LOCAL = "remote", "local"
# A split method at one setting, of the photographs of all folds together or of one.
METHOD: Columns = _without(
    fields(SplitResult), ["method_id", "fold", "model_id", "set_metric"]
)
# What a job's record tells of its process.
PROCESS: Columns = {
    "attempts": _INT,
    "git_sha": _TEXT,
    "jax_version": _TEXT,
    "hardware_id": _TEXT,
}

_COLUMNS: dict[str, Columns] = {
    "architectures": _ARCHITECTURE,
    "complexity": {
        "arch_id": _TEXT,
        "side": _TEXT,
        "component": _TEXT,
        "params": _INT,
        "macs_per_px": _FLOAT,
    },
    "runs": {
        "run_id": _TEXT,
        "arch_id": _TEXT,
        "status": _TEXT,
        "error": _TEXT,
        **_RECIPE,
        **fields(TrainingSummary),
        **PROCESS,
    },
    "points": {**POINT, "lmbda": _FLOAT, "curve_id": _TEXT},
    "rate_distortion": {
        **POINT,
        **fields(EvaluateResult),
        **_without(_IMAGE, ["setting"]),
    },
    "codecs": {**fields(CodecResult), **_IMAGE},
    "decode_times": {
        "arch_id": _TEXT,
        "run_id": _TEXT,  # null: timed with random weights
        "hardware_id": _TEXT,
        **fields(BenchmarkResult),
        **fields(DecodeTime),
    },
    "component_times": {
        "arch_id": _TEXT,
        "run_id": _TEXT,
        "hardware_id": _TEXT,
        **fields(BenchmarkResult),
        "height_px": _INT,
        "width_px": _INT,
        "precision": _TEXT,
        **fields(ComponentTime),
    },
    "decode_estimates": {**fields(EstimateResult), **fields(DecodeEstimate)},
    "training_estimates": {
        **fields(TrainingEstimateResult),
        **fields(TrainingEstimate),
    },
    # Photographs that a server answered, or a teacher, see `analysis.task_results`.
    "task_answers": {
        **METHOD,
        "fold": _INT,
        "reference_model": _TEXT,  # the teacher that never saw this fold
        "set_metric": _FLOAT,  # of the job's photographs together; null: right answers
        **fields(TaskAnswer),
    },
    "task_results": {
        **METHOD,
        "reference_model": _TEXT,  # of several folds: an id of all their teachers
        "image_count": _INT,
        "bytes_per_datum": _FLOAT,
        "bpp": _FLOAT,
        "coded_over_estimated": _FLOAT,  # of methods with a prior
        "metric": _FLOAT,
        "distortion": _FLOAT,
        "se": _FLOAT,
        "teacher_agreement": _FLOAT,
        "kl": _FLOAT,
        "exr": _FLOAT,
    },
    "hardware": {
        "hardware_id": _TEXT,
        "device_kind": _TEXT,
        "platform": _TEXT,
        "device_count": _INT,
        "cpu_threads": _INT,
        "driver": _TEXT,
        "jax_version": _TEXT,
        "host_cpu": _TEXT,
        "clock_note": _TEXT,
    },
    # Of points whose images were resampled (`analysis.uncertainty`).
    "intervals": {
        **POINT,
        "dataset": _TEXT,
        **CODEC_SETTINGS,
        "rd_loss_low": _FLOAT,
        "rd_loss_high": _FLOAT,
        # Of the measure `bd_rate_percent`: in each draw over the range of PSNR that
        # the curves of `bd_window` and the anchor have in common there.
        "bd_rate_low_percent": _FLOAT,
        "bd_rate_high_percent": _FLOAT,
        "frontier_probability": _FLOAT,  # null: it does not compare
        "draws": _INT,
        "seeds": _INT,  # trainings that each draw chooses from
    },
    "curves": {
        "curve_id": _TEXT,
        "run_id": _TEXT,  # null: its points are models of one rate each
        "dataset": _TEXT,
        **CODEC_SETTINGS,
        "points": _INT,
        "anchor": _TEXT,
        "anchor_source": _TEXT,  # measured (in this OUT), published, or model
        "interpolation": _TEXT,
        "bd_rate_percent": _FLOAT,
        # Of an interval, once the images are resampled.
        "bd_rate_low_percent": _FLOAT,
        "bd_rate_high_percent": _FLOAT,
        "range_low_db": _FLOAT,
        "range_high_db": _FLOAT,
        "overlap_points": _INT,
        "reason": _TEXT,  # where there is no number
    },
}
TABLES = (*_COLUMNS, "frontier")
_JOINED = ("family", "name", "arch_id", "curve_id", "lmbda")
_TRAINING = ("steps", "batch_size", "crop_px", "seed", "distortion", "precision")


def columns(name: str) -> Columns:
    """Columns of a table and their types, without `schema_version`.

    `frontier` has one for each of `analysis.measures.MEASURES`; more columns of its
    own follow, four for each device and stage (`analysis.frontier_table`).
    """
    if name != "frontier":
        return _COLUMNS[name]
    known = {**_COLUMNS["runs"], **_COLUMNS["points"], **_COLUMNS["architectures"]}
    return {
        **POINT,
        "dataset": _TEXT,
        **CODEC_SETTINGS,
        "status": _TEXT,
        "evaluation_status": _TEXT,
        **_only(known, (*_JOINED, *_TRAINING)),
        "images": _INT,
        "image_set": _TEXT,  # id of their names
        **{name: known.get(name, _FLOAT) for name in MEASURES},
        "decode_hardware_id": _TEXT,
        "estimated_device_kind": _TEXT,
        # Of `bd_rate_percent`: against which anchor, over which range, or why not.
        "bd_anchor": _TEXT,
        "bd_window": _TEXT,
        "bd_gap": _TEXT,
        "differs_in": _TEXT,
        "on_frontier": pa.bool_(),
        "frontier_objectives": _TEXT,
    }


def typed(name: str, table: pd.DataFrame) -> pa.Table:
    """A table with the types of its schema, columns of its own after it."""
    known = columns(name)
    own = [column for column in table if column not in (*known, "schema_version")]
    ordered = table[[*known, *own]]
    arrow = pa.Table.from_pandas(ordered, preserve_index=False)
    fields = [*pa.schema(known), *(arrow.schema.field(column) for column in own)]
    return arrow.cast(pa.schema(fields))


def write_table(out: Path, name: str, table: pa.Table) -> None:
    """Writes OUT/tables/<name>.parquet atomically, with its `schema_version`."""
    version = pa.array([SCHEMA_VERSION] * len(table), pa.int32())
    table = table.append_column("schema_version", version)
    write_parquet(table_path(out, name), table)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes `table` to `path` atomically; it can be derived again at any time."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    write_bytes_atomically(path, sink.getvalue().to_pybytes(), durable=False)


def read_tables(out: Path) -> dict[str, pd.DataFrame]:
    """All tables that `analysis.gather.gather` wrote.

    Raises:
      DataError: where there are none, or they are of another version of this code.
    """
    return {name: _read(out, name) for name in TABLES}


def table_path(out: Path, name: str) -> Path:
    return Path(out) / TABLES_FOLDER / f"{name}.parquet"


def _read(out: Path, name: str) -> pd.DataFrame:
    path = table_path(out, name)
    remedy = f"gather them from the records: python launch/report.py out={out}"
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("a report needs the tables", f"no {path}", remedy) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is a parquet file", error, remedy) from error
    missing = [c for c in columns(name) if c not in table.column_names]
    if "schema_version" not in table.column_names:
        missing.append("schema_version")
    else:
        versions = set(table["schema_version"].to_pylist()) - {SCHEMA_VERSION}
        if versions:
            raise DataError(
                f"{path} has schema version {SCHEMA_VERSION}", versions.pop(), remedy
            )
    if missing:
        raise DataError(f"{path} has all columns", f"no {missing}", remedy)
    return table.to_pandas()
