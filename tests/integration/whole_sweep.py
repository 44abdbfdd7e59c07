"""A sweep as a user starts it: a process in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

# It catches what hangs: alone on two cores, each sweep takes a minute.
TIMEOUT_SECONDS = 1500


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "launch/sweep.py"), *overrides]


def started(arguments: list[str], folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.DEVNULL, env=own_locks(folder)
    )


def completed(arguments: list[str], folder: Path) -> str:
    """Runs a sweep to its end in `folder`; what it printed."""
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=folder,
        env=own_locks(folder),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def own_locks(folder: Path) -> dict[str, str]:
    """Environment in which timings do not wait for other tests of this machine."""
    return {**os.environ, "TMPDIR": str(folder)}
