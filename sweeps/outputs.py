"""OUT as driver and commands see it: a folder to read, and one way to change it.

On a disk that every process sees, that is all. Where OUT is an object store, the folder
is a copy, and every change goes to the store first (`sweeps.stored_outputs`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rdc.jobs.job import Request
from rdc.jobs.layout import REQUEST_FILE
from rdc.jobs.parcel import Parcel
from rdc.system.files import storage_error, write_json_atomically
from sweeps.lease import HEARTBEAT_SECONDS, WAIT_SECONDS, Lease


class Outputs:
    """OUT on a disk.

    Attributes:
      folder: absolute; where everything is read.
      name: for people.
      post_seconds: between two of `post`.
    """

    post_seconds = 5.0

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()
        self.name = str(self.folder)

    def lease(
        self,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> AbstractContextManager[Any]:
        """That of the one driver; see `sweeps.lease.Lease`."""
        return Lease(self.folder, heartbeat_seconds, wait_seconds)

    def workplace(self, attempt: Path) -> Path:
        """Where the process of an attempt reads and writes."""
        return attempt

    def begin(
        self, attempt: Path, spec: Mapping[str, Any], request: Request
    ) -> Parcel | None:
        """Makes an attempt's folder, which nobody else can make again.

        Returns:
          What its process gets where it does not see OUT.

        Raises:
          StorageError: it cannot be made, or somebody was faster.
        """
        try:
            attempt.parent.mkdir(parents=True, exist_ok=True)
            attempt.mkdir()
        except OSError as error:
            raise storage_error(error, attempt) from error
        write_json_atomically(attempt / REQUEST_FILE, request.to_dict(), durable=False)
        return None

    def write_json(self, path: Path, value: Any, durable: bool = True) -> None:
        """Writes a file of OUT; see `rdc.system.files.write_json_atomically`."""
        write_json_atomically(path, value, durable)

    def post(self, path: Path, value: Any, wait_seconds: float = 0.0) -> None:
        """Writes a file that nothing depends on: it waits for no store, and where it
        cannot be written, it is not.

        Args:
          wait_seconds: for a store, all the same.
        """
        with contextlib.suppress(OSError):
            write_json_atomically(path, value, durable=False)

    def rename(self, path: Path, target: Path) -> None:
        """Renames a file of OUT."""
        os.replace(path, target)

    def remove(self, folder: Path) -> None:
        """Removes a folder of OUT, as far as it goes."""
        shutil.rmtree(folder, ignore_errors=True)

    def keep(self, attempt: Path, brought: Mapping[str, bytes]) -> None:
        """Takes what came home from an attempt elsewhere, path -> content."""

    def fetch(self, folder: Path) -> None:
        """Looks what others wrote below a folder, as a process whose node is lost."""

    def fetch_files(self, paths: Iterable[Path]) -> None:
        """The same of some files, all at once."""

    def refresh(self, again: bool = True) -> None:
        """Looks what others wrote anywhere in OUT.

        Args:
          again: files of jobs that are known, too: they may have changed.
        """

    def publish(self, path: Path) -> None:
        """A file or folder was written by other means than these, and shall count."""

    def set_aside(self, path: Path, reason: str) -> Path:
        """Renames a file so that it no longer counts but stays readable."""
        number = 1
        while (aside := path.with_name(f"{path.stem}.{number}.{reason}.json")).exists():
            number += 1
        with contextlib.suppress(FileNotFoundError):
            self.rename(path, aside)
        return aside
