"""Which cores a process may use: each core belongs to one process at a time.

A core is held by a lock on a file of its own, so that executors in several processes
of one machine agree without talking, and a dead process holds nothing.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path


def usable_cores() -> list[int]:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class CoreLease:
    """Holds `count` cores until `release`; none where fewer are free.

    Attributes:
      cores: their numbers; empty means all cores may be used.
    """

    def __init__(self, count: int | None):
        self._held = ExitStack()
        self.cores: list[int] = []
        usable = usable_cores()
        if count is None or count >= len(usable):
            return
        folder = Path(tempfile.gettempdir()) / f"rdc-cores-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for core in usable:
            file = open(folder / str(core), "w")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            self._held.callback(file.close)
            self.cores.append(core)
            if len(self.cores) == count:
                return
        self.release()

    def release(self) -> None:
        """Gives the cores back."""
        self._held.close()
        self.cores = []
