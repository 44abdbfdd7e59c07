"""One driver per OUT: a lease with a heartbeat.

The lease is `OUT/driver.json`. A driver touches it every few seconds. Another one is
refused while the heartbeat is fresh, unless it sees on its own machine that the
holder is gone. Ages are taken from the clock of the file system alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from rdc.errors import ConfigError, StorageError
from rdc.system.files import read_json, storage_error, write_json_atomically

LEASE_FILE = "driver.json"
GUARD_FILE = ".driver.lock"
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


class LeaseLostError(StorageError):
    """Another driver took over, after this one was silent for too long."""


class Lease:
    """Holds OUT for this process while the context is open.

    Raises:
      ConfigError: on entering, where another driver is at work.
      LeaseLostError: by `check`, where another driver took over.
    """

    def __init__(self, out: Path, heartbeat_seconds: float = HEARTBEAT_SECONDS):
        self._out = Path(out)
        self._path = self._out / LEASE_FILE
        self._heartbeat_seconds = heartbeat_seconds
        self._holder = {**_this_process(), "token": uuid.uuid4().hex}
        self._closed = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, self._out) from error
        with _guard(self._out):
            holder = self._read()
            if holder is not None and self._alive(holder):
                raise ConfigError(
                    f"one driver at a time works on {self._out}",
                    f"process {holder['pid']} on {holder['host']} does",
                    "wait for it, stop it, or choose another out=DIR",
                )
            write_json_atomically(self._path, self._holder)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(OSError), _guard(self._out):
            if self._is_ours():
                self._path.unlink()

    def check(self) -> None:
        """Raises `LeaseLostError` where OUT belongs to another driver by now."""
        if self._lost:
            raise LeaseLostError(
                f"this driver holds {self._out}",
                "another driver took over",
                "let that one finish",
            )

    def _beat(self) -> None:
        while not self._closed.wait(self._heartbeat_seconds):
            with contextlib.suppress(OSError):
                if self._is_ours():
                    os.utime(self._path)
                else:
                    self._lost = True
                    return

    def _is_ours(self) -> bool:
        holder = self._read()
        return holder is not None and holder["token"] == self._holder["token"]

    def _read(self) -> dict[str, Any] | None:
        try:
            return read_json(self._path)
        except FileNotFoundError:
            return None
        except StorageError:
            return None  # cut by a full disk; nobody can hold it

    def _alive(self, holder: dict[str, Any]) -> bool:
        if holder["machine"] == self._holder["machine"]:
            return _start_time(holder["pid"]) == holder["started_at"]
        probe = self._out / f".clock-{self._holder['token']}"
        probe.touch()
        age_seconds = probe.stat().st_mtime - self._path.stat().st_mtime
        probe.unlink()
        return age_seconds < STALE_SECONDS


def _this_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "started_at": _start_time(os.getpid()),
        "host": socket.gethostname(),
        "machine": _machine(),
        "taken_at": time.time(),
    }


def _machine() -> str:
    """Equal for two processes exactly when their pids mean the same."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start_time(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.NoSuchProcess:
        return None


@contextlib.contextmanager
def _guard(out: Path) -> Iterator[None]:
    """Only one process at a time looks at the lease and changes it."""
    with open(out / GUARD_FILE, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
