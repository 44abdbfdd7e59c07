"""The students that a sweep trained. No JAX here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rdc.jobs.job import parse_job
from rdc.jobs.layout import MODEL_FOLDER, RECORD_FILE, SPEC_FILE, attempt_folder
from rdc.jobs.records import Record, SplitResult
from rdc.jobs.splits import SplitJob
from rdc.split.specs import StudentMethod
from rdc.system.files import read_json


def trained_students(out: Path) -> Iterator[tuple[SplitJob, SplitResult, Path]]:
    """Jobs with what they measured and the folder of what they trained."""
    for path in sorted((out / SplitJob.folder_name).glob(f"*/*/{RECORD_FILE}")):
        record = Record.from_dict(read_json(path))
        job = parse_job(read_json(path.with_name(SPEC_FILE)))
        assert isinstance(job, SplitJob)
        if record.status == "ok" and isinstance(job.method, StudentMethod):
            model = attempt_folder(path.parent, record.attempt) / MODEL_FOLDER
            yield job, SplitResult.from_dict(record.result), model
