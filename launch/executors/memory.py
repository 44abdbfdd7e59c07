"""Host memory: how much there is, and whether the system killed processes for it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil

_LOOK_SECONDS = 1.0
_CGROUPS = Path("/sys/fs/cgroup")
# Of the group of this process, in both versions of Linux control groups.
_COUNTERS = ("memory.events", "memory.oom_control")
_LIMITS = ("memory.max", "memory.limit_in_bytes")


def memory_gb() -> float:
    """What processes of this machine, or of this container, may use, in 10^9 bytes."""
    total = psutil.virtual_memory().total
    for text in map(_read, _own_files(_LIMITS)):
        if text.strip().isdigit():
            total = min(total, int(text))
    return total / 1e9


class OutOfMemoryKills:
    """Counts processes of the control group of this one that the system killed because
    memory ran out.

    Args:
      counters: files that tell; None: those of this process. None of them tells where
        the system is another one: then nothing is ever noticed.
    """

    def __init__(self, counters: tuple[Path, ...] | None = None):
        self._files = _own_files(_COUNTERS) if counters is None else counters
        self._seen = [self._count()] * 2  # at the last look, and at the one before
        self._looks_at = 0.0

    def look(self) -> None:
        """Takes note of the count; to be called again and again."""
        if time.monotonic() >= self._looks_at:
            self._looks_at = time.monotonic() + _LOOK_SECONDS
            self._seen = [self._count(), self._seen[0]]

    def happened(self) -> bool:
        """Whether there was one since the look before the last."""
        return self._count() > self._seen[1]

    def _count(self) -> int:
        found = (re.search(r"^oom_kill (\d+)$", _read(f), re.M) for f in self._files)
        return sum(int(match[1]) for match in found if match)


def _own_files(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Those of the control group of this process; where it sees its own group as the
    root of all, as in containers, those of the root."""
    folders = {_CGROUPS, _CGROUPS / "memory"}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            folders.discard(_CGROUPS / kinds)
            folder = _CGROUPS / kinds / path.lstrip("/")
            folders.add(folder if folder.is_dir() else _CGROUPS / kinds)
    return tuple(f / name for f in sorted(folders) for name in names)


def _read(path: Path) -> str:
    """Its text; empty where there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""
