"""The folders of one job: attempts, their ends, and the promoted record.

Attempt numbers are fencing tokens: a process of an earlier driver writes only into
its own attempt folder, and nothing reads that folder after a later attempt has begun.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from rdc.errors import ConfigError, StorageError
from rdc.jobs.job import Job, Request
from rdc.jobs.layout import (
    ATTEMPTS_FOLDER,
    PROGRESS_FILE,
    RECORD_FILE,
    REQUEST_FILE,
    SPEC_FILE,
    attempt_folder,
)
from rdc.jobs.records import Record
from rdc.system.files import read_json, storage_error, write_json_atomically
from sweeps.policy import Ended

END_FILE = "end.json"


class JobFolder:
    """`OUT/<kind>/<id[:2]>/<id>/`, as `rdc.jobs.layout` describes it."""

    def __init__(self, path: Path, job_id: str):
        self.path, self.job_id = path, job_id

    def attempt(self, number: int) -> Path:
        return attempt_folder(self.path, number)

    def record(self) -> Record | None:
        """The promoted record; one that is damaged is set aside."""
        path = self.path / RECORD_FILE
        try:
            return self._parse(read_json(path))
        except FileNotFoundError:
            return None
        except (StorageError, ConfigError):
            set_aside(path, "damaged")
            return None

    def attempt_record(self, number: int) -> Record | None:
        """The record that the attempt wrote; None where there is no sound one."""
        try:
            record = self._parse(read_json(self.attempt(number) / RECORD_FILE))
        except (FileNotFoundError, StorageError, ConfigError):
            return None
        return record if record.attempt == number else None

    def _parse(self, values: Any) -> Record:
        if not isinstance(values, dict) or values.get("job_id") != self.job_id:
            raise StorageError(f"the record is that of job {self.job_id}", values)
        return Record.from_dict(values)

    def numbers(self) -> list[int]:
        """All attempts that were begun, in order."""
        try:
            names = os.listdir(self.path / ATTEMPTS_FOLDER)
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def history(self) -> list[Ended]:
        """How the attempts since the last forgiven one ended."""
        numbers = self.numbers()
        forgiven = self._forgiven() if numbers else 0
        return [self._end(n) for n in numbers if n > forgiven]

    def _end(self, number: int) -> Ended:
        record = self.attempt_record(number)
        if record is not None and record.status == "ok":
            model = record.result.get("model_dir")
            if model is None or (self.attempt(number) / model).is_dir():
                return Ended(number=number, outcome="ok")
        with contextlib.suppress(FileNotFoundError, StorageError, ConfigError):
            return Ended.from_dict(read_json(self.attempt(number) / END_FILE))
        # The driver died before it could say how this attempt ended, or its model
        # was deleted since.
        return Ended(
            number=number,
            outcome="lost",
            accumulate=self._accumulate(number),
            step=self.step(number),
        )

    def _accumulate(self, number: int) -> int:
        with contextlib.suppress(FileNotFoundError, StorageError):
            request = read_json(self.attempt(number) / REQUEST_FILE)
            return int(request.get("accumulate", 1))
        return 1

    def step(self, number: int) -> int:
        """Training steps that the attempt reported."""
        return int(self.progress(number).get("step", 0))

    def progress(self, number: int) -> dict[str, Any]:
        """The last `progress.json` of the attempt; empty where there is none."""
        with contextlib.suppress(OSError):  # StorageError is one, too
            return read_json(self.attempt(number) / PROGRESS_FILE)
        return {}

    def begin(self, job: Job, request: Request) -> tuple[int, Path]:
        """Makes the next attempt folder; no two drivers ever get the same one.

        Raises:
          StorageError: the folder cannot be made or written.
        """
        number = max(self.numbers(), default=0) + 1
        folder = self.attempt(number)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except OSError as error:
            raise storage_error(error, folder) from error
        self._write_spec(job)
        write_json_atomically(folder / REQUEST_FILE, request.to_dict(), durable=False)
        return number, folder

    def _write_spec(self, job: Job) -> None:
        path = self.path / SPEC_FILE
        spec = job.to_dict()
        with contextlib.suppress(FileNotFoundError, StorageError):
            if read_json(path) == spec:
                return
        write_json_atomically(path, spec, durable=False)

    def end(self, ended: Ended) -> None:
        """Writes how an attempt ended."""
        write_json_atomically(self.attempt(ended.number) / END_FILE, ended.to_dict())

    def promote(self, record: Record) -> None:
        """Makes `record` that of the job. Only the driver calls this."""
        write_json_atomically(self.path / RECORD_FILE, record.to_dict())

    def forgive(self) -> None:
        """Sets the record aside, so that the job starts anew with a clean history."""
        path = self.path / RECORD_FILE
        last = max(self.numbers(), default=0)
        os.replace(path, path.with_name(f"record.{last}.forgiven.json"))

    def _forgiven(self) -> int:
        names = [p.name.split(".") for p in self.path.glob("record.*.forgiven.json")]
        return max((int(parts[1]) for parts in names), default=0)


def set_aside(path: Path, reason: str) -> Path:
    """Renames a file so that it no longer counts but stays readable."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.{number}.{reason}.json")).exists():
        number += 1
    os.replace(path, aside)
    return aside
