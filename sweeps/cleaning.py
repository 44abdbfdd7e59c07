"""What of OUT no later work needs: superseded checkpoints, models that do not count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdc.jobs.job import JOB_KINDS
from rdc.jobs.layout import MODEL_FOLDER
from rdc.jobs.parcel import MANIFEST_FILE
from rdc.specs.checkpoint import CheckpointSpec
from rdc.system.files import read_json
from sweeps.outputs import Outputs
from sweeps.state import JobFolder


@dataclass(frozen=True)
class Waste:
    """A folder that may go.

    Attributes:
      kind: why, for people.
    """

    path: Path
    kind: str
    bytes: int


def waste_of(outputs: Outputs, spec: CheckpointSpec) -> Iterator[Waste]:
    """All of it, job by job.

    Args:
      spec: how many checkpoints stay.
    """
    for kind in JOB_KINDS.values():
        for path in sorted((outputs.folder / kind.folder_name).glob("*/*")):
            yield from _of_job(JobFolder(path, path.name, outputs), spec)


def _of_job(folder: JobFolder, spec: CheckpointSpec) -> Iterator[Waste]:
    record = folder.sound_record()
    finished = record is not None and record.status == "ok"
    keep = spec.keep_finished if finished else spec.keep
    kind = "checkpoints of finished jobs" if finished else "superseded checkpoints"
    for path in folder.superseded_checkpoints(keep):
        yield Waste(path, kind, folder_bytes(path))
    if record is None or not finished:
        return
    for number in folder.numbers():
        model = folder.attempt(number) / MODEL_FOLDER
        if number != record.attempt and model.is_dir():
            kind = "models of attempts that do not count"
            yield Waste(model, kind, folder_bytes(model))


def folder_bytes(folder: Path) -> int:
    """Of all files below; and of a training state that lies in a store."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    stored = (read_json(path)["bytes"] for path in files if path.name == MANIFEST_FILE)
    return sum(path.stat().st_size for path in files) + sum(stored)
