"""Carries an attempt between the store that holds OUT and this machine.

Run as `python -m rdc.jobs.porter ATTEMPT_DIR PROGRAM ARGUMENT...`. It brings what the
attempt reads, runs `PROGRAM ARGUMENT... ATTEMPT_DIR`, takes checkpoints to the store
while that works, and everything else at its end, the record last. It ends as the
program did. A store that fails is waited for.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from rdc.data.manifest import Manifest
from rdc.errors import DiskFullError, ExitCode, RdcError, StorageError
from rdc.jobs.carried_images import bring
from rdc.jobs.job import Request
from rdc.jobs.layout import (
    CHECKPOINT_FOLDER,
    LOG_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    PROGRESS_FILE,
    RECORD_FILE,
    REQUEST_FILE,
)
from rdc.jobs.parcel import (
    INPUTS_FOLDER,
    MANIFEST_FILE,
    PARCEL_FILE,
    STATE_FILE,
    Parcel,
    tail,
)
from rdc.system.files import json_bytes, parsed_json, read_json, write_bytes_atomically
from rdc.system.guard import guarded
from rdc.system.store import Store, StoreError

PATIENCE_SECONDS = 600.0  # with a store that fails
CHECKPOINTS_BROUGHT = 2  # the newest sound ones
_LOOK_SECONDS = 0.1
_SHIP_SECONDS = 1.0
_PROGRESS_SECONDS = 15.0
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Load:
    """One attempt and its place in the store."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.parcel = Parcel.from_dict(read_json(folder / PARCEL_FILE), "parcel")
        self._store = Store(self.parcel.url)
        self._shipped: set[str] = set()

    def bring(self) -> None:
        """Fetches the manifest, model and newest checkpoints that the attempt reads."""
        inputs = self.folder / INPUTS_FOLDER
        if self.parcel.manifest is not None:
            self._bring_images(self.parcel.manifest)
        if self.parcel.model is not None:
            for key in self._store.list(f"{self.parcel.model}/"):
                name = key.removeprefix(f"{self.parcel.model}/")
                self._save(key, inputs / MODEL_FOLDER / name)
        found = [
            (int(key.split("/")[-2]), key)
            for prefix in self.parcel.checkpoints
            for key in self._store.list(f"{prefix}/")
            if key.endswith(f"/{MANIFEST_FILE}")
        ]
        brought = 0
        for step, manifest in sorted(found, reverse=True):
            attempt = manifest.split("/")[-4]
            folder = inputs / attempt / CHECKPOINT_FOLDER / str(step)
            brought += self._unpack(manifest, folder)
            if brought == CHECKPOINTS_BROUGHT:
                return

    def _bring_images(self, key: str) -> None:
        """The manifest of the images; where they are carried, these, too."""
        request = Request.from_dict(dict(self.parcel.request), "request")
        assert request.images is not None
        assert request.manifest is not None
        if request.carried:
            stored = self._store.read(key)
            if stored is None:
                raise StoreError("manifests stay in OUT", f"no {key}")
            manifest = Manifest.from_dict(parsed_json(stored.data, key))
            bring(self._store, manifest, Path(request.images))
        elif not Path(request.manifest).exists():  # named by its content
            self._save(key, Path(request.manifest))

    def _save(self, key: str, path: Path) -> None:
        stored = self._store.read(key)
        if stored is not None:
            write_bytes_atomically(path, stored.data, durable=False)

    def _unpack(self, manifest: str, folder: Path) -> bool:
        """A checkpoint, where it is what its manifest says."""
        told = self._store.read(manifest)
        state = self._store.read(manifest.replace(MANIFEST_FILE, STATE_FILE))
        with contextlib.suppress(StorageError, tarfile.TarError):
            values = {} if told is None else parsed_json(told.data, manifest)
            if state is not None and values.get("sha256") == _sha256(state.data):
                with tarfile.open(fileobj=io.BytesIO(state.data)) as tar:
                    tar.extractall(folder, filter="data")
                return True
        _log.warning("checkpoint %s is not what its manifest says", manifest)
        # Empty, so that the training finds it damaged and says so in its record.
        folder.mkdir(parents=True, exist_ok=True)
        return False

    def ship_checkpoints(self) -> None:
        """Takes new checkpoints to the store; those that are gone here go there."""
        folder = self.folder / CHECKPOINT_FOLDER
        here = {path.name for path in folder.glob("*") if path.name.isdigit()}
        for step in sorted(here - self._shipped, key=int):
            with contextlib.suppress(FileNotFoundError):  # a newer one took its place
                self._ship(folder / step)
                self._shipped.add(step)
        if gone := self._shipped - here:
            names = (MANIFEST_FILE, STATE_FILE)
            for name in names:
                self._store.delete([self._key(step, name) for step in gone])
            self._shipped -= gone
            for step in gone:
                (folder / f"{step}.{MANIFEST_FILE}").unlink(missing_ok=True)

    def _key(self, step: str, name: str) -> str:
        return f"{self.parcel.key}/{CHECKPOINT_FOLDER}/{step}/{name}"

    def _ship(self, path: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(path, arcname=".")
        state = buffer.getvalue()
        manifest = json_bytes(
            {"step": int(path.name), "bytes": len(state), "sha256": _sha256(state)}
        )
        self._store.write(self._key(path.name, STATE_FILE), state)
        self._store.write(self._key(path.name, MANIFEST_FILE), manifest)
        beside = path.with_name(f"{path.name}.{MANIFEST_FILE}")
        write_bytes_atomically(beside, manifest, durable=False)

    def ship(self, name: str) -> None:
        """Takes a file, or the files of a folder, to the store, where it is here."""
        path = self.folder / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not file.is_file():
                continue
            data = tail(file) if file.name == LOG_FILE else file.read_bytes()
            key = f"{self.parcel.key}/{file.relative_to(self.folder).as_posix()}"
            self._store.write(key, data or b"")


def carry(folder: Path, command: Sequence[str]) -> int:
    """Runs an attempt, and what shares its process; returns the program's exit code.

    Raises:
      StorageError: the store fails for longer than `PATIENCE_SECONDS`.
    """
    request = Request.from_dict(read_json(folder / REQUEST_FILE), "request")
    loads = [Load(path) for path in (folder, *map(Path, request.together))]
    for load in loads:
        _patiently(load.bring)
    # It dies with its parent. The group gets the signals, and the program answers them.
    asked = signal.signal(signal.SIGTERM, lambda number, frame: None)
    program = subprocess.Popen([*guarded(), *command, str(folder)])
    shipped = told = time.monotonic()
    while program.poll() is None:
        time.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        if now - shipped < _SHIP_SECONDS:
            continue
        shipped = now
        try:
            tells = now - told >= _PROGRESS_SECONDS
            told = now if tells else told
            for load in loads:
                load.ship_checkpoints()
                if tells:
                    load.ship(PROGRESS_FILE)
        except StoreError as error:
            _log.warning("the store fails, trying again: %s", error)
    if program.returncode in (ExitCode.DISK_FULL, ExitCode.NODE_FAULT):
        _forget(folder)  # of scratch, which is this machine's: nothing of the job
    for load in loads:
        _patiently(load.ship_checkpoints)
        for name in (PROGRESS_FILE, METRICS_FILE, LOG_FILE, MODEL_FOLDER, RECORD_FILE):
            _patiently(partial(load.ship, name))
    signal.signal(signal.SIGTERM, asked)
    if program.returncode == ExitCode.DISK_FULL:
        return ExitCode.NODE_FAULT
    return program.returncode


def _forget(folder: Path) -> None:
    """Removes records that tell of what did not come to the store."""
    request = Request.from_dict(read_json(folder / REQUEST_FILE), "request")
    for path in (folder, *map(Path, request.together)):
        (path / RECORD_FILE).unlink(missing_ok=True)


def _patiently(action: Callable[[], T]) -> T:
    """What the store must do, again and again where it fails for a while."""
    give_up, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
    while True:
        try:
            return action()
        except StoreError as error:
            if time.monotonic() + pause >= give_up:
                raise
            _log.warning("the store fails, trying again: %s", error)
        time.sleep(pause)
        pause = min(2 * pause, 15.0)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    folder, *command = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        code = carry(Path(folder), command)
    except DiskFullError as error:  # of scratch
        _forget(Path(folder))
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.NODE_FAULT
    except StorageError as error:  # the sweep pauses, as where a disk is full
        _forget(Path(folder))
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.DISK_FULL
    except RdcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if code < 0:  # by a signal: so shall this process
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
