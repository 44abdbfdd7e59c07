"""What a process gets on a machine that does not see OUT, and what it gives back.

    node-local scratch, as OUT itself would be
    <kind>/<id[:2]>/<id>/spec.json
    <kind>/<id[:2]>/<id>/attempts/<n>/
      request.json, parcel.json         written by who starts the process
      inputs/                           brought from the store by `rdc.jobs.porter`
      log.txt, record.json, model/, ... written by the process, taken to the store

Nothing there outlives the process: what counts is in the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdc.jobs.layout import (
    CHECKPOINT_FOLDER,
    LOG_FILE,
    MODEL_FOLDER,
    PROGRESS_FILE,
    RECORD_FILE,
    REQUEST_FILE,
    SPEC_FILE,
)
from rdc.specs.base import Spec
from rdc.system.files import write_json_atomically

PARCEL_FILE = "parcel.json"
MANIFEST_FILE = "manifest.json"  # of a checkpoint in the store; written last
STATE_FILE = "state.tar"
INPUTS_FOLDER = "inputs"
LOG_BYTES = 65_536  # so much of a log's end travels


@dataclass(frozen=True, kw_only=True)
class Parcel(Spec):
    """Of one attempt.

    Attributes:
      url: of OUT, a store.
      key: of the attempt's folder there.
      manifest: key of what tells of its images; None: nothing does.
      model: key of the folder of the model that it reads; None: none.
      checkpoints: keys of folders with checkpoints that it may go on from.
      spec, request: what `spec.json` and `request.json` hold.
    """

    url: str
    key: str
    manifest: str | None = None
    model: str | None = None
    checkpoints: tuple[str, ...] = ()
    spec: Mapping[str, Any]
    request: Mapping[str, Any]

    def unpack(self, folder: Path) -> None:
        """Makes the attempt's folder.

        Raises:
          StorageError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        spec, request = dict(self.spec), dict(self.request)
        write_json_atomically(folder.parent.parent / SPEC_FILE, spec, durable=False)
        write_json_atomically(folder / REQUEST_FILE, request, durable=False)
        write_json_atomically(folder / PARCEL_FILE, self.to_dict(), durable=False)


def small_files(folder: Path) -> dict[str, bytes]:
    """What the driver has to know of an attempt: path in its folder -> content."""
    found = {}
    wanted = [RECORD_FILE, PROGRESS_FILE, f"{MODEL_FOLDER}/{SPEC_FILE}"]
    manifests = (folder / CHECKPOINT_FOLDER).glob(f"*.{MANIFEST_FILE}")
    for path in (*(folder / name for name in wanted), *manifests):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            # Beside the checkpoint here, whose folder is orbax's; in the store within.
            found[name.replace(f".{MANIFEST_FILE}", f"/{MANIFEST_FILE}")] = (
                path.read_bytes()
            )
    if (log := tail(folder / LOG_FILE)) is not None:
        found[LOG_FILE] = log
    return found


def tail(path: Path) -> bytes | None:
    """The end of a log; None where there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            return file.read()
    except OSError:
        return None


def clear(folders: Iterable[Path]) -> None:
    """Removes attempts from scratch, and what held only them."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        job = folder.parent.parent
        try:
            folder.parent.rmdir()
            (job / SPEC_FILE).unlink(missing_ok=True)
            job.rmdir()
        except OSError:
            continue  # another attempt is at work there
