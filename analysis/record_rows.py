"""What one record file has to say, as rows of the tables that it belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.tables import (
    CODEC_SETTINGS,
    LOCAL,
    METHOD,
    PROCESS,
    REMOTE,
    Columns,
    columns,
    fields,
)
from rdc.errors import RdcError
from rdc.jobs.job import CodecJob
from rdc.jobs.layout import SPEC_FILE
from rdc.jobs.records import (
    RECORD_SCHEMA_VERSION,
    STATUSES,
    BenchmarkResult,
    CodecResult,
    EstimateResult,
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
from rdc.system.files import read_json

_FILE = {"record": pa.string()}  # relative to OUT
VERSION = {"size": pa.int64(), "mtime_ns": pa.int64()}
_EVALUATED: Columns = {"run_id": pa.string(), "dataset": pa.string(), **CODEC_SETTINGS}
ROWS: dict[str, pa.Schema] = {
    # One row per record file; `problem` where it could not be used.
    "jobs": pa.schema(
        {
            **_FILE,
            **VERSION,
            "problem": pa.string(),
            "stage": pa.string(),
            **_EVALUATED,
            "codec_id": pa.string(),
            "data_sha256": pa.string(),  # of the images of a classical codec
            "status": pa.string(),
            "error": pa.string(),
            **PROCESS,
            "planned_hardware_id": pa.string(),
            **fields(TrainingSummary),
        }
    ),
    **{
        name: pa.schema({**_FILE, **columns(name)})
        for name in (
            *("rate_distortion", "codecs", "decode_times", "component_times"),
            *("decode_estimates", "training_estimates", "task_answers", "hardware"),
        )
    },
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


def record_rows(out: Path, file: RecordFile) -> Rows:
    """The rows of a record; of one that cannot be read, a job with a `problem`."""
    try:
        record = read_json(out / file.record)
        return _READERS[file.stage](out, file, record)
    except (RdcError, OSError) as error:
        problem = str(error).replace(str(out / file.record), "the record")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"not a {file.stage} record: {type(error).__name__}: {error}"
    return {"jobs": [job_row(file, problem=problem)]}


def job_row(file: RecordFile, **values: Any) -> dict[str, Any]:
    """A row of `jobs`."""
    return {
        "record": file.record,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "stage": file.stage,
        **values,
    }


def _common(file: RecordFile, record: dict[str, Any]) -> tuple[dict, Rows]:
    """The row of the job, and the tables that it and its hardware start."""
    if record["schema_version"] != RECORD_SCHEMA_VERSION:
        version = record["schema_version"]
        raise ValueError(f"schema version {version}, not {RECORD_SCHEMA_VERSION}")
    if record["status"] not in STATUSES:
        raise KeyError(f"status {record['status']!r}")
    environment = record["environment"]
    job = job_row(
        file,
        status=record["status"],
        error=record["error"],
        attempts=record["attempt"],
        git_sha=environment.get("git_sha"),
        jax_version=environment.get("jax_version"),
        hardware_id=environment.get("hardware_id"),
        planned_hardware_id=environment.get("planned_hardware_id"),
    )
    rows: Rows = {"jobs": [job]}
    if environment.get("hardware"):
        rows["hardware"] = [{**environment["hardware"], "record": file.record}]
    return job, rows


def _train_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    job["run_id"] = file.job_id
    if record["status"] == "ok":
        summary = {**_SUMMARY_DEFAULTS, **record["result"]["summary"]}
        job |= _required(summary, _SUMMARY)
    return rows


def _evaluate_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    if record["status"] != "ok":  # no result: the job itself says what it was about
        spec = _spec(out, file)
        job |= _required({**spec, **spec["codec"]}, _EVALUATED)
        return rows
    keys = _required(record["result"], _EVALUATED)
    job |= keys
    rows["rate_distortion"] = [
        {**_image(image), **keys, "record": file.record}
        for image in record["result"]["images"]
    ]
    return rows


def _codec_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    keys = _required({**_CODEC_DEFAULTS, **record["result"]}, fields(CodecResult))
    job |= {name: keys[name] for name in ("codec_id", "dataset")}
    if file.stage == CodecJob.stage:
        job["data_sha256"] = _spec(out, file)["data_sha256"]
    rows["codecs"] = [
        {**_image(image), **keys, "record": file.record}
        for image in record["result"]["images"]
    ]
    return rows


def _benchmark_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    job, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    keys = _required(record["result"], fields(BenchmarkResult))
    job["run_id"] = keys["run_id"]
    keys |= {"hardware_id": job["hardware_id"], "record": file.record}
    times = [
        _required({**_TIME_DEFAULTS, **time}, _TIME)
        for time in record["result"]["times"]
    ]
    rows["decode_times"] = [{**time, **keys} for time in times]
    if times:
        keys |= _required(times[0], ("height_px", "width_px", "precision"))
    rows["component_times"] = [
        {**_required(part, _PART), **keys}
        for part in record["result"].get("components", ())
    ]
    return rows


def _estimate_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    _, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    result = {**_ESTIMATE_DEFAULTS, **record["result"]}
    keys = _required(result, fields(EstimateResult))
    rows["decode_estimates"] = [
        {**_required(estimate, _ESTIMATE), **keys, "record": file.record}
        for estimate in record["result"]["estimates"]
    ]
    return rows


def _training_estimate_rows(
    out: Path, file: RecordFile, record: dict[str, Any]
) -> Rows:
    _, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    keys = _required(record["result"], fields(TrainingEstimateResult))
    estimate = _required(record["result"]["estimate"], fields(TrainingEstimate))
    rows["training_estimates"] = [{**estimate, **keys, "record": file.record}]
    return rows


def _teacher_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    """Its photographs as they are, whole: what a server answers without any method."""
    _, rows = _common(file, record)
    if record["status"] != "ok":
        return rows
    result = record["result"]
    keys = {
        "method": REMOTE,
        "setting": "",
        "run_id": None,
        "task": result.get("task", "classification"),
        "seed": 0,
        "encoder_bits": None,
        "encoder_kmacs_per_px": None,
        "tail_kmacs_per_px": result["encoder_kmacs_per_px"],
        **_required(result, ("dataset", "fold")),
    }
    own = {
        **keys,
        "method": LOCAL,
        "encoder_bits": result["encoder_bits"],
        "encoder_kmacs_per_px": result["encoder_kmacs_per_px"],
        "tail_kmacs_per_px": 0.0,
    }
    rows["task_answers"] = _answers(file, result, keys)
    rows["task_answers"] += [
        {**row, "bytes": None} for row in _answers(file, result, own)
    ]
    return rows


def _split_rows(out: Path, file: RecordFile, record: dict[str, Any]) -> Rows:
    _, rows = _common(file, record)
    if record["status"] == "ok":
        keys = _required(record["result"], (*METHOD, "fold"))
        rows["task_answers"] = _answers(file, record["result"], keys)
    return rows


def _answers(
    file: RecordFile, result: dict[str, Any], keys: dict[str, Any]
) -> list[dict[str, Any]]:
    both = {
        **keys,
        "reference_model": result["model_id"],
        "record": file.record,
        "set_metric": result.get("set_metric"),
    }
    rows = ({**_ANSWER_DEFAULTS, **row} for row in result["answers"])
    return [{**_required(row, _ANSWER), **both} for row in rows]


def _defaults(kind: Any) -> dict[str, Any]:
    return {
        f.name: f.default
        for f in dataclasses.fields(kind)
        if f.default is not dataclasses.MISSING
    }


# What records from before these fields do not say.
_CODEC_DEFAULTS = _defaults(CodecResult)
_ESTIMATE_DEFAULTS = _defaults(EstimateResult)
_SUMMARY_DEFAULTS = _defaults(TrainingSummary)
_TIME_DEFAULTS = _defaults(DecodeTime)
_ANSWER_DEFAULTS = _defaults(TaskAnswer)
_SUMMARY, _TIME = fields(TrainingSummary), fields(DecodeTime)
_PART = fields(ComponentTime)
_ANSWER = fields(TaskAnswer)
_IMAGE, _ESTIMATE = fields(ImageMeasurement), fields(DecodeEstimate)


def _required(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values of these names; a `KeyError` where one is missing."""
    return {name: values[name] for name in names}


def _image(values: dict[str, Any]) -> dict[str, Any]:
    """A measured image; a metric that came later than its record is None."""
    image = _required(values, _IMAGE)
    for name in METRIC_NAMES:
        image[name] = values.get(name)
    return image


def _spec(out: Path, file: RecordFile) -> dict[str, Any]:
    return read_json((out / file.record).with_name(SPEC_FILE))


_READERS = {
    "train": _train_rows,
    "evaluate": _evaluate_rows,
    "codec": _codec_rows,
    "overfit": _codec_rows,
    "teacher": _teacher_rows,
    "split": _split_rows,
    "benchmark": _benchmark_rows,
    "estimate": _estimate_rows,
    "estimate_training": _training_estimate_rows,
}
