"""The tables of OUT/tables: their columns and types, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rdc.errors import DataError
from rdc.system.files import write_bytes_atomically

SCHEMA_VERSION = 1

_STRING, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_DECODE_KEYS = {
    "arch_id": _STRING,
    "run_id": _STRING,  # null: timed with random weights
    "hardware_id": _STRING,
}

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "architectures": {
        "arch_id": _STRING,
        "name": _STRING,
        "family": _STRING,
        "transform": _STRING,
        "entropy_model": _STRING,
        "hyper_transform": _STRING,
        "config_json": _STRING,
        "params_total": _INT,
        "params_decoder": _INT,
        "kmacs_per_px": _FLOAT,
        "kflops_per_px": _FLOAT,
        "kmacs_per_px_encode": _FLOAT,
        "decoder_peak_bytes_per_px": _FLOAT,
    },
    "complexity": {
        "arch_id": _STRING,
        "side": _STRING,
        "component": _STRING,
        "params": _INT,
        "macs_per_px": _FLOAT,
    },
    "runs": {
        "run_id": _STRING,
        "arch_id": _STRING,
        "status": _STRING,
        "error": _STRING,
        "lmbda": _FLOAT,
        "steps": _INT,
        "batch_size": _INT,
        "crop_px": _INT,
        "seed": _INT,
        "distortion": _STRING,
        "precision": _STRING,
        "train_json": _STRING,  # the whole recipe
        "data_sha256": _STRING,
        "accumulate": _INT,
        "devices": _INT,
        "rates_together": _INT,
        "skipped_images": _INT,
        "skipped_steps": _INT,
        "rollbacks": _INT,
        "train_seconds": _FLOAT,
        "input_seconds": _FLOAT,
        "checkpoint_seconds": _FLOAT,
        "steps_per_second": _FLOAT,
        "loss_first": _FLOAT,
        "loss_last": _FLOAT,
        "attempts": _INT,
        "git_sha": _STRING,
        "jax_version": _STRING,
        "hardware_id": _STRING,
    },
    "rate_distortion": {
        "run_id": _STRING,
        "dataset": _STRING,
        "image": _STRING,
        "height_px": _INT,
        "width_px": _INT,
        "bpp_estimated": _FLOAT,
        "bpp_coded": _FLOAT,
        "psnr_db": _FLOAT,
        "ms_ssim": _FLOAT,
        "mse_255": _FLOAT,
        "rd_loss": _FLOAT,
    },
    "decode_times": {
        **_DECODE_KEYS,
        "dataset": _STRING,
        "height_px": _INT,
        "width_px": _INT,
        "precision": _STRING,
        "stage": _STRING,
        "repeat": _INT,
        "decode_ms": _FLOAT,
    },
    "hardware": {
        "hardware_id": _STRING,
        "device_kind": _STRING,
        "platform": _STRING,
        "device_count": _INT,
        "driver": _STRING,
        "jax_version": _STRING,
        "host_cpu": _STRING,
        "clock_note": _STRING,
    },
    # Followed by four columns per hardware and stage, see `analysis.frontier_table`.
    "frontier": {
        "run_id": _STRING,
        "arch_id": _STRING,
        "dataset": _STRING,
        "status": _STRING,
        "evaluation_status": _STRING,
        "family": _STRING,
        "name": _STRING,
        "kflops_per_px": _FLOAT,
        "params_total": _INT,
        "params_decoder": _INT,
        "lmbda": _FLOAT,
        "steps": _INT,
        "batch_size": _INT,
        "crop_px": _INT,
        "seed": _INT,
        "distortion": _STRING,
        "precision": _STRING,
        "images": _INT,
        "bpp": _FLOAT,
        "bpp_estimated": _FLOAT,
        "psnr_db": _FLOAT,
        "ms_ssim": _FLOAT,
        "rd_loss": _FLOAT,
        "decode_hardware_id": _STRING,
        "decode_ms": _FLOAT,
        "mpx_per_s": _FLOAT,
        "differs_in": _STRING,
        "on_frontier": _BOOL,
        "frontier_objectives": _STRING,
    },
}


def schema(name: str) -> pa.Schema:
    """Arrow schema of a table, without `schema_version`."""
    return pa.schema(COLUMNS[name])


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
    return {name: _read(out, name) for name in COLUMNS}


def table_path(out: Path, name: str) -> Path:
    return Path(out) / "tables" / f"{name}.parquet"


def _read(out: Path, name: str) -> pd.DataFrame:
    path = table_path(out, name)
    remedy = f"gather them from the records: python launch/report.py out={out}"
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("a report needs the tables", f"no {path}", remedy) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is a parquet file", error, remedy) from error
    missing = [
        c for c in (*COLUMNS[name], "schema_version") if c not in table.column_names
    ]
    if missing:
        raise DataError(f"{path} has all columns", f"no {missing}", remedy)
    return table.to_pandas()
