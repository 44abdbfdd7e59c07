"""Files that are whole or absent: atomic writes and checksummed JSON."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import IO, Any

from rdc.errors import DiskFullError, StorageError
from rdc.identity import canonical_json


def write_bytes_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """Writes to a temporary file beside `path`, syncs it, and renames it.

    Whatever happens, `path` holds either its old content or all of `data`.

    Args:
      durable: False saves the syncs, where content lost with the machine's power is
        found out by its checksum and made again.

    Raises:
      DiskFullError: no space left; the temporary file is gone again.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with _opened(temporary) as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if not durable:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException as error:  # nothing is left behind an interruption, either
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def _opened(path: Path) -> IO[bytes]:
    """A new file, in a folder that is made where it is missing."""
    try:
        return open(path, "wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb")


def storage_error(error: OSError, path: Path) -> StorageError:
    """The `StorageError` that names `path` and what the user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            "outputs need free disk space",
            f"no space left at {path.parent}",
            "free some space and run the same command again; finished work is kept",
        )
    return StorageError(f"cannot write {path}", error.strerror or error)


def write_json_atomically(path: Path, value: Any, durable: bool = True) -> None:
    """Writes `value` as JSON; a mapping gets a `checksum` over its other keys."""
    write_bytes_atomically(path, json_bytes(value), durable)


def json_bytes(value: Any) -> bytes:
    """What `write_json_atomically` writes."""
    if isinstance(value, dict):
        body = {k: v for k, v in value.items() if k != "checksum"}
        value = {**body, "checksum": _checksum(body)}
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Reads what `write_json_atomically` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      StorageError: not JSON, or a mapping whose checksum does not fit.
    """
    return parsed_json(Path(path).read_bytes(), path)


def parsed_json(data: bytes, name: object) -> Any:
    """The value of what `json_bytes` made.

    Raises:
      StorageError: not JSON, or a mapping whose checksum does not fit.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise StorageError(
            f"{name} is not valid JSON", error, "set the file aside"
        ) from error
    if isinstance(value, dict):
        stated = value.pop("checksum", None)
        if stated != _checksum(value):
            raise StorageError(
                f"{name} fits its checksum",
                f"{stated} stated, {_checksum(value)} found",
                "set the file aside; it was cut or edited",
            )
    return value


def _checksum(body: dict) -> str:
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()[:16]
