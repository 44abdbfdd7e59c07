"""`rdc export`: a finished training becomes a model folder."""

from __future__ import annotations

import argparse
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from rdc.errors import ConfigError

MODEL_FILES = {"spec.json", "tables.npz", "weights.npz"}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `export`."""
    export = commands.add_parser(
        "export",
        help="finished training -> model folder to ship",
        description="Writes weights, integer tables, architecture, and how the model "
        "was trained (its job and its record) into a folder for --model. Streams "
        "belong to the export that wrote them: another one, also of the same run with "
        "other --weights, does not decode them.",
    )
    export.add_argument(
        "run_dir",
        type=Path,
        metavar="RUN_DIR",
        help="folder of a finished training: OUT/runs/<id[:2]>/<run_id>",
    )
    export.add_argument(
        "model_dir",
        type=Path,
        metavar="MODEL_DIR",
        help="new folder, or a model to replace",
    )
    export.add_argument(
        "--weights",
        metavar="bfloat16|compact|float32",
        default="bfloat16",
        help="how weights are stored: bfloat16 (default) is half the size and costs "
        "about 0.01 dB; compact is a fifth and costs 0.2 to 0.8 %% of rate; float32 "
        "keeps them as they are",
    )
    export.set_defaults(run=_export)


def export_run(run_dir: Path, model_dir: Path, weights_dtype: str) -> str:
    """Exports the model of a finished training and gives its identity.

    Raises:
      ConfigError: no finished training, or `model_dir` holds something else.
      StorageError: a file of the run is damaged.
    """
    from rdc.codec.exported import export, load_exported
    from rdc.system.files import storage_error

    trained_dir, provenance = finished_training(run_dir)
    model_dir = model_dir.resolve()
    _check_replaceable(model_dir)
    trained = load_exported(trained_dir)
    new, old = (
        model_dir.with_name(f".{model_dir.name}.{uuid.uuid4().hex[:8]}.{end}")
        for end in ("new", "old")
    )
    try:
        points = trained.operating_points
        exported = export(trained.model, new, provenance, points, weights_dtype)
        if model_dir.exists():
            os.replace(model_dir, old)
        os.replace(new, model_dir)
    except OSError as error:
        raise storage_error(error, model_dir) from error
    finally:
        if old.exists() and not model_dir.exists():
            os.replace(old, model_dir)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
    return exported.identity


def finished_training(run_dir: Path) -> tuple[Path, dict[str, Any]]:
    """(folder of the trained model, its provenance) of the folder of a run.

    Raises:
      ConfigError: not the folder of a training, or one without a model.
    """
    from rdc.jobs.job import TrainJob, parse_job
    from rdc.jobs.layout import RECORD_FILE, SPEC_FILE, attempt_folder
    from rdc.jobs.records import Record, TrainResult
    from rdc.system.files import read_json

    try:
        job = read_json(run_dir / SPEC_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_run(run_dir, f"without {SPEC_FILE}") from None
    if job.get("stage") != TrainJob.stage:
        raise _no_run(run_dir, f"of stage {job.get('stage')}")
    parse_job(job)  # refuses what another version wrote
    try:
        record = Record.from_dict(read_json(run_dir / RECORD_FILE), "record")
    except FileNotFoundError:
        raise _unfinished(run_dir, "pending or running: it has no record") from None
    if record.status != "ok":
        raise _unfinished(run_dir, f"{record.status}: {record.error}")
    result = TrainResult.from_dict(record.result, "record.result")
    folder = attempt_folder(run_dir, record.attempt) / result.model_dir
    return folder, {"run_id": record.job_id, "job": job, "record": record.to_dict()}


def _export(options: argparse.Namespace) -> None:
    identity = export_run(options.run_dir, options.model_dir, options.weights)
    size = sum((options.model_dir / name).stat().st_size for name in MODEL_FILES)
    print(f"{options.model_dir}: {size / 1e6:.2f} MB, identity {identity}")


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    if names and not ("spec.json" in names and names <= MODEL_FILES):
        raise ConfigError(
            "MODEL_DIR is new, empty, or a model to replace",
            f"{folder}, which holds something else",
            "name another folder",
        )


def _no_run(folder: Path, found: str) -> ConfigError:
    return ConfigError(
        "RUN_DIR is the folder of a training",
        f"{folder}, {found}",
        "name OUT/runs/<id[:2]>/<run_id> of a sweep or of launch/train.py",
    )


def _unfinished(folder: Path, found: str) -> ConfigError:
    return ConfigError(
        "the training to export is finished, with status ok",
        f"{folder}, {found}",
        "run its sweep or training again: it resumes",
    )
