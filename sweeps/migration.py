"""An OUT of an earlier version of the layout, when a sweep starts on it.

`STEPS` has one function per version that is left behind. It changes OUT so that the
next version reads it, loses nothing, goes on where it was interrupted, and says in one
line what it did. `sweep.json`, which tells the version, is the last file that changes.

1: a training was of one lambda, and networks, ids and models were others. No result of
it could count, so all of it is set aside.

Within a version, fields that were added have defaults: nothing is to be done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rdc.errors import StorageError
from rdc.jobs.layout import OUT_SCHEMA_VERSION, SWEEP_FILE
from rdc.system.files import read_json, storage_error
from sweeps.lease import LEASE_FILE
from sweeps.outputs import Outputs

VERSION_1_FOLDER = "version_1"  # of what version 1 left


def read_sweep(out: Path) -> dict[str, Any] | None:
    """`sweep.json`; None where it is missing or damaged."""
    try:
        return read_json(out / SWEEP_FILE)
    except (FileNotFoundError, StorageError):
        return None


def is_due(outputs: Outputs) -> bool:
    """Whether OUT is of an earlier version that `migrate` makes this one."""
    sweep = read_sweep(outputs.folder)
    on_disk = outputs.name == str(outputs.folder)  # version 1 knew no stores
    return sweep is not None and sweep.get("schema_version") in STEPS and on_disk


def migrate(outputs: Outputs) -> Iterator[str]:
    """Makes OUT one of this version, where it is due; a line per step.

    Only the driver that holds OUT calls this.

    Raises:
      StorageError: files cannot be moved; the same again goes on.
    """
    while is_due(outputs):
        sweep = read_sweep(outputs.folder) or {}
        yield STEPS[sweep["schema_version"]](outputs)


def _set_version_1_aside(outputs: Outputs) -> str:
    aside = outputs.folder / VERSION_1_FOLDER
    kept = (LEASE_FILE, VERSION_1_FOLDER)
    found = [
        path
        for path in outputs.folder.iterdir()
        if path.name not in kept and not path.name.startswith(".")
    ]
    try:
        aside.mkdir(exist_ok=True)
        for path in sorted(found, key=lambda path: path.name == SWEEP_FILE):
            os.replace(path, aside / path.name)
    except OSError as error:
        raise storage_error(error, aside) from error
    return (
        f"{outputs.name} was of version 1, of which no result counts in version "
        f"{OUT_SCHEMA_VERSION}: all of it is now in {aside.name}/, and the sweep begins"
    )


STEPS: dict[int, Callable[[Outputs], str]] = {1: _set_version_1_aside}
