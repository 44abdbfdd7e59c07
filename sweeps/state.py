"""The folders of one job: attempts, their ends, and the promoted record.

Attempt numbers are fencing tokens: a process of an earlier driver writes only into
its own attempt folder, and nothing reads that folder after a later attempt has begun.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rdc.errors import ConfigError, StorageError
from rdc.jobs.job import Job, Request
from rdc.jobs.layout import (
    ATTEMPTS_FOLDER,
    CHECKPOINT_FOLDER,
    PROGRESS_FILE,
    RECORD_FILE,
    REQUEST_FILE,
    SPEC_FILE,
    attempt_folder,
)
from rdc.jobs.parcel import Parcel
from rdc.jobs.records import RECORD_SCHEMA_VERSION, Record
from rdc.system.files import read_json
from sweeps.outputs import Outputs
from sweeps.policy import Ended

END_FILE = "end.json"


class JobFolder:
    """`OUT/<kind>/<id[:2]>/<id>/`, as `rdc.jobs.layout` describes it."""

    def __init__(self, path: Path, job_id: str, outputs: Outputs):
        self.path, self.job_id = path, job_id
        self._outputs = outputs

    def attempt(self, number: int) -> Path:
        return attempt_folder(self.path, number)

    def record(self) -> Record | None:
        """The promoted record; one that is damaged is set aside.

        Raises:
          ConfigError: a newer version of this program wrote it.
        """
        path = self.path / RECORD_FILE
        try:
            values = read_json(path)
            if not _is_newer(values):
                return self._parse(values)
        except FileNotFoundError:
            return None
        except (StorageError, ConfigError):
            self.set_record_aside("damaged")
            return None
        raise ConfigError(
            f"records are of version {RECORD_SCHEMA_VERSION} or an earlier one",
            f"version {values['schema_version']} in {path}",
            "work there with the newer program that wrote it, or choose another "
            "out=DIR",
        )

    def sound_record(self) -> Record | None:
        """The promoted record, where it is sound. Changes nothing."""
        try:
            return self._parse(read_json(self.path / RECORD_FILE))
        except (FileNotFoundError, StorageError, ConfigError):
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

    def counted(self) -> list[int]:
        """Attempts since the last forgiven one."""
        numbers = self.numbers()
        last = max(self._forgiven(), default=0) if numbers else 0
        return [number for number in numbers if number > last]

    def end_of(self, number: int) -> Ended | None:
        """What an earlier driver wrote of an attempt's end."""
        with contextlib.suppress(FileNotFoundError, StorageError, ConfigError):
            return Ended.from_dict(read_json(self.attempt(number) / END_FILE))
        return None

    def has_model(self, record: Record) -> bool:
        """Whether the model that the attempt's record tells of is there."""
        model = record.result.get("model_dir")
        return model is None or (self.attempt(record.attempt) / model).is_dir()

    def requested(
        self, number: int, name: Literal["accumulate", "memory_factor"]
    ) -> int:
        """A multiple that the attempt was given, as in its `Request`."""
        with contextlib.suppress(FileNotFoundError, StorageError):
            request = read_json(self.attempt(number) / REQUEST_FILE)
            return int(request.get(name, 1))
        return 1

    def saved_step(self, number: int) -> int:
        """Step of the attempt's newest checkpoint; 0: none."""
        try:
            names = os.listdir(self.attempt(number) / CHECKPOINT_FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        return max((int(name) for name in names if name.isdigit()), default=0)

    def resumable(self) -> list[Path]:
        """Attempts whose checkpoints may serve, oldest first.

        What a forgiven divergence left behind is not gone on from.
        """
        forgiven = self._forgiven()
        last = max((n for n, s in forgiven.items() if s == "diverged"), default=0)
        return [
            self.attempt(number)
            for number in self.numbers()
            if number > last and (self.attempt(number) / CHECKPOINT_FOLDER).is_dir()
        ]

    def progress(self, number: int) -> dict[str, Any]:
        """The last `progress.json` of the attempt; empty where there is none."""
        with contextlib.suppress(OSError):  # StorageError is one, too
            return read_json(self.attempt(number) / PROGRESS_FILE)
        return {}

    def begin(self, job: Job, request: Request) -> tuple[int, Parcel | None]:
        """Makes the next attempt folder; no two drivers ever get the same one.

        Returns:
          Its number, and what its process gets where it does not see OUT.

        Raises:
          StorageError: the folder cannot be made or written.
        """
        number = max(self.numbers(), default=0) + 1
        spec = job.to_dict()
        parcel = self._outputs.begin(self.attempt(number), spec, request)
        path = self.path / SPEC_FILE
        with contextlib.suppress(FileNotFoundError, StorageError):
            if read_json(path) == spec:
                return number, parcel
        self._outputs.write_json(path, spec, durable=False)
        return number, parcel

    def workplace(self, number: int) -> Path:
        """Where the process of the attempt reads and writes."""
        return self._outputs.workplace(self.attempt(number))

    def take_home(self, number: int, brought: Mapping[str, bytes] | None) -> None:
        """Takes what the process gave back; None: it is lost, and OUT tells."""
        if brought is None:
            self._outputs.fetch(self.attempt(number))
        else:
            self._outputs.keep(self.attempt(number), brought)

    def end(self, ended: Ended) -> None:
        """Writes how an attempt ended."""
        self._outputs.write_json(self.attempt(ended.number) / END_FILE, ended.to_dict())

    def superseded_checkpoints(self, keep: int) -> list[Path]:
        """All of all attempts but so many of the newest."""
        found = sorted(
            (
                (int(path.name), number, path)
                for number in self.numbers()
                for path in (self.attempt(number) / CHECKPOINT_FOLDER).glob("*")
                if path.name.isdigit()
            ),
            reverse=True,
        )
        return [path for _, _, path in found[keep:]]

    def drop_checkpoints(self, keep: int) -> None:
        """Removes the superseded ones."""
        for path in self.superseded_checkpoints(keep):
            self._outputs.remove(path)

    def promote(self, record: Record) -> None:
        """Makes `record` that of the job. Only the driver calls this.

        Not synced: what it says is told by the attempt's record or end, which are. A
        machine that loses power before it is on the disk wins it back from there.
        """
        path = self.path / RECORD_FILE
        self._outputs.write_json(path, record.to_dict(), durable=False)

    def forgive(self) -> None:
        """Sets the record aside: the job has a clean history from here on, and its
        checkpoints.
        """
        path = self.path / RECORD_FILE
        last = max(self.numbers(), default=0)
        self._outputs.rename(path, path.with_name(f"record.{last}.forgiven.json"))

    def set_record_aside(self, reason: str) -> None:
        """Renames the promoted record so that it no longer counts."""
        self._outputs.set_aside(self.path / RECORD_FILE, reason)

    def _forgiven(self) -> dict[int, str]:
        """The last attempt before each forgiveness, and what was forgiven."""
        found = {}
        for path in self.path.glob("record.*.forgiven.json"):
            status = ""
            with contextlib.suppress(FileNotFoundError, StorageError, ConfigError):
                status = Record.from_dict(read_json(path)).status
            found[int(path.name.split(".")[1])] = status
        return found


def _is_newer(values: Any) -> bool:
    version = values.get("schema_version") if isinstance(values, dict) else None
    return isinstance(version, int) and version > RECORD_SCHEMA_VERSION
