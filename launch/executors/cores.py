"""Who may use this machine: cores of one's own, or all of it while time is taken.

Everything is held by locks on files, so that executors in several processes agree
without talking, and a dead process holds nothing:

    machine   shared by all processes of jobs; a timing holds it alone
    turn      the same, of whoever is about to take `machine`: a timing that waits holds
              it alone, so that no later job overtakes
    0, 1, ... one per core
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from sweeps.capacity import Resources


def usable_cores() -> list[int]:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class MachineLease:
    """What one process holds of this machine, from `acquire` to `release`.

    Args:
      folder: of the locks; None: that of this user on this machine.

    Attributes:
      cores: numbers of its own cores; empty means that it may use all, because it
        asked for all or because fewer are free.
    """

    def __init__(self, wanted: Resources, folder: Path | None = None):
        self.cores: list[int] = []
        self._wanted = wanted
        self._folder = folder or (
            Path(tempfile.gettempdir()) / f"rdc-cores-{os.getuid()}"
        )
        self._turn: IO | None = None
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Tries to take it, at once; False while other processes are in the way."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kind = fcntl.LOCK_EX if self._wanted.exclusive else fcntl.LOCK_SH
        self._turn = self._turn or self._locked("turn", kind)
        if self._turn is None:
            return False
        machine = self._locked("machine", kind)
        if machine is None and self._wanted.exclusive:
            return False
        self._turn.close()
        self._turn = None
        if machine is None:
            return False
        self._held.callback(machine.close)
        self._take_cores()
        return True

    def _take_cores(self) -> None:
        count, usable = self._wanted.cpus, usable_cores()
        if count is None or count >= len(usable):
            return
        with ExitStack() as taken:
            for core in usable:
                lock = self._locked(str(core), fcntl.LOCK_EX)
                if lock is None:
                    continue
                taken.callback(lock.close)
                self.cores.append(core)
                if len(self.cores) == count:
                    self._held.push(taken.pop_all())
                    return
        self.cores = []

    def _locked(self, name: str, kind: int) -> IO | None:
        file = open(self._folder / name, "w")  # noqa: SIM115
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def release(self) -> None:
        """Gives everything back; what waits stops waiting."""
        if self._turn is not None:
            self._turn.close()
            self._turn = None
        self._held.close()
        self.cores = []
