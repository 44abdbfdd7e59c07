"""OUT in an object store, and the driver's copy of its small files.

    the store     the truth: records, requests, logs, models, checkpoints
    the copy      in the user's cache: the same, but for weights and training states
    scratch       on each node: the folders of the attempts at work (`rdc.jobs.parcel`)

Reading is always of the copy, so that nothing is written twice for stores: board,
tables and report work on a folder. `refresh` asks the store what changed.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from rdc.data.image_sets import dataset_name
from rdc.errors import StorageError
from rdc.identity import content_id
from rdc.jobs.carried_images import MANIFEST_NAME, carried_folder
from rdc.jobs.job import Request
from rdc.jobs.layout import (
    CHECKPOINT_FOLDER,
    MODEL_FOLDER,
    RECORD_FILE,
    REPORT_FILE,
    REQUEST_FILE,
    TABLES_FOLDER,
)
from rdc.jobs.parcel import INPUTS_FOLDER, Parcel
from rdc.system.files import json_bytes, read_json, write_bytes_atomically
from rdc.system.store import Store, Stored, StoreError
from rdc.system.user_cache import user_cache_folder
from sweeps.lease import HEARTBEAT_SECONDS, LEASE_FILE, WAIT_SECONDS
from sweeps.outputs import Outputs
from sweeps.store_lease import StoreLease

INDEX_FILE = ".index.json"
_LARGE = (".npz", ".tar")
# What no copy holds: made again at will, or in the machine's own files.
_NOT_COPIED = (f"{TABLES_FOLDER}/", f"{Path(REPORT_FILE).parts[0]}/", "images/")


class StoredOutputs(Outputs):
    """OUT below a URL.

    Args:
      scratch: absolute; a folder that every node has or can make.
    """

    post_seconds = 15.0

    def __init__(self, store: Store, scratch: Path, cache: Path | None = None):
        own = content_id("out", {"url": store.url})
        super().__init__((cache or user_cache_folder() / "outputs") / own)
        self.store, self.name = store, store.url
        self._scratch = Path(scratch) / own
        # Of every file of the copy, what the store had when it was read or written.
        self._generations: dict[str, bytes] = self._read_index()
        # What is being written: its content, and who waits for it.
        self._under_way: dict[str, tuple[bytes, Callable[[], bytes]]] = {}
        self._posting = threading.Thread()

    def lease(
        self,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> AbstractContextManager[Any]:
        return StoreLease(self.store, heartbeat_seconds, wait_seconds)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def workplace(self, attempt: Path) -> Path:
        return self._scratch / self._key(attempt)

    def begin(
        self, attempt: Path, spec: Mapping[str, Any], request: Request
    ) -> Parcel | None:
        placed = self._placed(attempt, request).to_dict()
        # Whoever creates it has the attempt's number; no two contents are alike.
        mine = json_bytes({**placed, "begun_by": uuid.uuid4().hex})
        path = attempt / REQUEST_FILE
        written = self.store.create(self._key(path), mine)
        if written is None:
            self.fetch(attempt)
            raise StorageError(
                "one driver at a time begins attempts",
                f"{self.name}/{self._key(attempt)} was begun by another",
                "run the same command again",
            )
        parcel = Parcel(
            url=self.store.url,
            key=self._key(attempt),
            manifest=request.manifest and self._key(Path(request.manifest)),
            model=request.model_dir and self._key(Path(request.model_dir)),
            checkpoints=tuple(
                self._key(Path(path) / CHECKPOINT_FOLDER)
                for path in request.resume_from
            ),
            spec=spec,
            request=placed,
        )
        self._generations[self._key(path)] = written
        write_bytes_atomically(path, mine, durable=False)
        return parcel

    def _placed(self, attempt: Path, request: Request) -> Request:
        """The request as its process reads it: all paths on its own machine."""
        inputs = self.workplace(attempt) / INPUTS_FOLDER
        model = request.model_dir and str(inputs / MODEL_FOLDER)
        earlier = tuple(str(inputs / Path(path).name) for path in request.resume_from)
        images, manifest = request.images, request.manifest
        if manifest is not None:
            manifest = str(self.workplace(Path(manifest)))
            if request.carried and images is not None:
                sha256, name = Path(manifest).stem, dataset_name(images)
                folder = carried_folder(self._scratch, sha256, name)
                images, manifest = str(folder), str(folder.parent / MANIFEST_NAME)
        return replace(
            request,
            images=images,
            manifest=manifest,
            model_dir=model,
            resume_from=earlier,
        )

    def write_json(self, path: Path, value: Any, durable: bool = True) -> None:
        """Where it need not be durable, it is in the store before the next record or
        end of an attempt is.
        """
        key, data = self._key(path), json_bytes(value)
        if path.name == RECORD_FILE:
            self._finish_writing()
            self._write_record(key, data)
        elif durable:
            self._finish_writing()
            self._generations[key] = self.store.write(key, data)
        else:
            self._under_way[key] = data, self.store.begin_writing(key, data)
        write_bytes_atomically(path, data, durable=False)

    def post(self, path: Path, value: Any, wait_seconds: float = 0.0) -> None:
        self._finish_posting(wait_seconds)
        if self._posting.is_alive():
            return
        key, data = self._key(path), json_bytes(value)

        def write() -> None:
            with contextlib.suppress(StoreError):
                self.store.write(key, data)

        self._posting = threading.Thread(target=write, daemon=True)
        self._posting.start()
        self._finish_posting(wait_seconds)

    def _finish_posting(self, seconds: float) -> None:
        if self._posting.is_alive():
            self._posting.join(seconds)

    def _finish_writing(self) -> None:
        """Waits for what is under way; what failed is written again."""
        for key, (data, wait) in list(self._under_way.items()):
            try:
                written = wait()
            except StoreError:
                written = self.store.write(key, data)
            self._generations[key] = written
            del self._under_way[key]

    def _write_record(self, key: str, data: bytes) -> None:
        """Over the record that this driver knows, never over another one's."""
        known = self._generations.get(key)
        if known is None:
            written = self.store.create(key, data)
        else:
            written = self.store.replace(key, data, known)
        if written is None:
            raise StorageError(
                "records are promoted by the driver of this sweep",
                f"{self.name}/{key} was written by another",
                "run the same command again",
            )
        self._generations[key] = written

    def rename(self, path: Path, target: Path) -> None:
        data = path.read_bytes()
        new = self.store.write(self._key(target), data)
        self.store.delete([self._key(path)])
        self._generations[self._key(target)] = new
        self._generations.pop(self._key(path), None)
        path.replace(target)

    def remove(self, folder: Path) -> None:
        prefix = f"{self._key(folder)}/"
        keys = self.store.list(prefix)
        # A checkpoint without its manifest is none: that goes first.
        self.store.delete([key for key in keys if not key.endswith(_LARGE)])
        self.store.delete([key for key in keys if key.endswith(_LARGE)])
        for key in keys:
            self._generations.pop(key, None)
        shutil.rmtree(folder, ignore_errors=True)

    def keep(self, attempt: Path, brought: Mapping[str, bytes]) -> None:
        for name, data in brought.items():
            write_bytes_atomically(attempt / name, data, durable=False)

    def fetch(self, folder: Path) -> None:
        self._pull(f"{self._key(folder)}/")

    def fetch_files(self, paths: Iterable[Path]) -> None:
        known = {key: self._generations.get(key) for key in map(self._key, paths)}
        for key, stored in self.store.changed(known):
            self._keep(key, stored)

    def _keep(self, key: str, stored: Stored) -> None:
        write_bytes_atomically(self.folder / key, stored.data, durable=False)
        self._generations[key] = stored.generation

    def refresh(self, again: bool = True) -> None:
        self._pull("", again)
        self._write_index()

    def _pull(self, prefix: str, again: bool = True) -> None:
        """Makes the copy what the store has below `prefix`.

        Of jobs whose record is the one that is known, only new files are read: what
        their attempts left does not change any more. `again` is as for `refresh`.
        """
        self._finish_writing()
        keys = [key for key in self.store.list(prefix) if _is_copied(key)]
        known = {
            key: self._generations.get(key) if (self.folder / key).exists() else None
            for key in keys
        }
        records = {key: old for key, old in known.items() if old and _is_record(key)}
        changed = dict(self.store.changed(records)) if again else {}
        finished = {_job(key) for key in records if key not in changed}
        others = {
            key: old
            for key, old in known.items()
            if key not in records
            and not (old and (_job(key) in finished or (not again and _is_of_job(key))))
        }
        for key, stored in chain(changed.items(), self.store.changed(others)):
            self._keep(key, stored)
        gone = {k for k in self._generations if k.startswith(prefix)} - set(keys)
        for key in gone:
            (self.folder / key).unlink(missing_ok=True)
            del self._generations[key]

    def publish(self, path: Path) -> None:
        for file in _files(path):
            key = self._key(file)
            self._generations[key] = self.store.write(key, file.read_bytes())

    def _read_index(self) -> dict[str, bytes]:
        try:
            index = read_json(self.folder / INDEX_FILE)
        except OSError:  # none, or a damaged one: everything is read anew
            return {}
        return {key: base64.b64decode(text) for key, text in index.items()}

    def _write_index(self) -> None:
        index = {
            key: base64.b64encode(generation).decode()
            for key, generation in self._generations.items()
        }
        text = json_bytes(index)
        write_bytes_atomically(self.folder / INDEX_FILE, text, durable=False)


def _is_copied(key: str) -> bool:
    if key.startswith(".") or key == LEASE_FILE or key.startswith(_NOT_COPIED):
        return False
    return not key.endswith(_LARGE)


def _job(key: str) -> str:
    """Key of the folder of the job that a file belongs to, as `runs/ab/abc`."""
    return "/".join(key.split("/")[:3])


def _is_of_job(key: str) -> bool:
    return key.count("/") >= 3


def _is_record(key: str) -> bool:
    """Whether it is a job's own, not that of an attempt."""
    return key == f"{_job(key)}/{RECORD_FILE}"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())
