"""One driver per OUT: a lease with a heartbeat.

The lease is `OUT/driver.json`, which stays when it is released. Its holder touches it
every few seconds. Another one is
refused while the holder lives; where it cannot see that (another machine, or a pod that
was replaced), it waits until the heartbeat is stale. Ages are taken from the clock of
the file system alone.

Each takeover counts the epoch up, which every promoted record carries. A driver that
was frozen and comes back promotes nothing more.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
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
WAIT_SECONDS = 90.0  # for a heartbeat that may be a dead driver's
POLL_SECONDS = 1.0
_RELEASED = 0  # the time of the heartbeat of a lease that nobody holds
_log = logging.getLogger(__name__)


class LeaseLostError(StorageError):
    """Another driver took over, after this one was silent for too long."""


class HeldByOne:
    """What leases on a disk and in a store have in common: a heartbeat, and a loss.

    Args:
      name: of OUT, for people.

    Attributes:
      holder: what the lease says of this process.
    """

    def __init__(self, name: object, heartbeat_seconds: float):
        self.epoch = 0
        self._name, self._heartbeat_seconds = name, heartbeat_seconds
        self.holder = this_process()
        self._lost = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._release()

    def check(self) -> None:
        """Raises `LeaseLostError` where OUT belongs to another driver by now."""
        if self._lost:
            raise LeaseLostError(
                f"this driver holds {self._name}",
                "another driver took over",
                "let that one finish",
            )

    def _beat(self) -> None:
        while not self._closed.wait(self._heartbeat_seconds):
            with contextlib.suppress(OSError):
                self._renew()
            if self._lost:
                return

    def _renew(self) -> None:
        """Shows that its holder lives; notes where it is another's."""
        raise NotImplementedError

    def _release(self) -> None:
        """Lets the next driver in at once."""
        raise NotImplementedError


class Lease(HeldByOne):
    """Holds OUT for this process while the context is open.

    Args:
      wait_seconds: for the heartbeat of another machine's driver to become stale.

    Attributes:
      epoch: how many drivers held OUT up to this one.

    Raises:
      ConfigError: on entering, where another driver is at work.
      LeaseLostError: by `check` and `held`, where another driver took over.
    """

    def __init__(
        self,
        out: Path,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ):
        super().__init__(out, heartbeat_seconds)
        self._wait_seconds = wait_seconds
        self._out = Path(out)
        self._path = self._out / LEASE_FILE

    def __enter__(self) -> Self:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, self._out) from error
        give_up, seen = time.monotonic() + self._wait_seconds, None
        while (holder := self._taken()) is not None:
            life = self._path.stat().st_mtime if self._path.exists() else 0.0
            waits = not on_this_machine(holder) and seen in (None, life)
            if not waits or time.monotonic() >= give_up:
                raise held_by(holder, self._out)
            if seen is None:
                say_waiting(holder, self._out, self._wait_seconds)
            seen = life
            time.sleep(POLL_SECONDS)
        self._thread.start()
        return self

    def _release(self) -> None:
        with _guard(self._out):
            if self._is_ours():
                os.utime(self._path, (_RELEASED, _RELEASED))  # needs no free space

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody takes over while this is open.

        Raises:
          LeaseLostError: somebody did before.
        """
        with _guard(self._out):
            self._lost = self._lost or not self._is_ours()
            self.check()
            yield

    def _taken(self) -> dict[str, Any] | None:
        """Takes the lease; or who has it."""
        with _guard(self._out):
            holder = self._read()
            if holder is not None and self._alive(holder):
                return holder
            self.epoch = 1 + (0 if holder is None else holder.get("epoch", 0))
            write_json_atomically(self._path, {**self.holder, "epoch": self.epoch})
        return None

    def _renew(self) -> None:
        if self._is_ours():
            os.utime(self._path)
        else:
            self._lost = True

    def _is_ours(self) -> bool:
        holder = self._read()
        return holder is not None and holder["token"] == self.holder["token"]

    def _read(self) -> dict[str, Any] | None:
        try:
            return read_json(self._path)
        except FileNotFoundError:
            return None
        except StorageError:
            return None  # cut by a full disk; nobody can hold it

    def _alive(self, holder: dict[str, Any]) -> bool:
        if self._path.stat().st_mtime == _RELEASED:
            return False
        if on_this_machine(holder):
            return runs_here(holder)
        probe = self._out / f".clock-{self.holder['token']}"
        probe.touch()
        age_seconds = probe.stat().st_mtime - self._path.stat().st_mtime
        probe.unlink()
        return age_seconds < STALE_SECONDS


def this_process() -> dict[str, Any]:
    """What the lease says of its holder."""
    return {
        "token": uuid.uuid4().hex,
        "pid": os.getpid(),
        "started_ticks": _start_ticks(os.getpid()),
        "host": socket.gethostname(),
        "machine": _machine(),
        "taken_at": time.time(),
    }


def on_this_machine(holder: dict[str, Any]) -> bool:
    """Whether its process can be looked for; elsewhere only the heartbeat tells."""
    return bool(holder["machine"] == _machine())


def runs_here(holder: dict[str, Any]) -> bool:
    """Whether a holder of this machine still runs."""
    started = holder.get("started_ticks")
    return started is not None and _start_ticks(holder["pid"]) == started


@dataclass(frozen=True)
class Heartbeat:
    """What others see of a driver that holds OUT.

    Attributes:
      token: of its lease.
      process: for people.
      age_seconds: of its last heartbeat.
      lives: as far as that, or its process on this machine, tells.
    """

    token: str
    process: str
    age_seconds: float
    lives: bool


def heartbeat(out: Path) -> Heartbeat | None:
    """Of the driver that holds OUT; None: nobody does. Changes nothing."""
    path = Path(out) / LEASE_FILE
    try:
        holder, beat = read_json(path), path.stat().st_mtime
    except (FileNotFoundError, StorageError):
        return None
    return None if beat == _RELEASED else heartbeat_of(holder, beat)


def heartbeat_of(holder: dict[str, Any], beat: float) -> Heartbeat:
    """Of who had its last heartbeat at a time of this machine's clock."""
    age_seconds = max(0.0, time.time() - beat)
    lives = age_seconds < STALE_SECONDS
    if on_this_machine(holder):
        lives = runs_here(holder)
    process = f"{holder['pid']} on {holder['host']}"
    return Heartbeat(holder["token"], process, age_seconds, lives)


def held_by(holder: dict[str, Any], out: object) -> ConfigError:
    """The error of a driver that finds another at work."""
    return ConfigError(
        f"one driver at a time works on {out}",
        f"process {holder['pid']} on {holder['host']} does",
        "wait for it, stop it, or choose another out=DIR",
    )


def say_waiting(holder: dict[str, Any], out: object, seconds: float) -> None:
    _log.warning(
        "process %s on %s held %s: waiting up to %.0f s whether it lives",
        *(holder["pid"], holder["host"], out, seconds),
    )


def _machine() -> str:
    """Equal for two processes exactly when their pids mean the same."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since the boot: no clock that anyone sets.

    None where there is none, or only its remains.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return _start_seconds(pid)
    # The name in parentheses may hold anything; what follows is numbered from 3.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _start_seconds(pid: int) -> int | None:
    """The same of a system without /proc, by its clock."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return int(process.create_time())
    except psutil.NoSuchProcess:
        return None


@contextlib.contextmanager
def _guard(out: Path) -> Iterator[None]:
    """Only one process at a time looks at the lease and changes it."""
    with open(out / GUARD_FILE, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
