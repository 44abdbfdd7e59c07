"""A sweep as a user starts it: a process in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

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


def assert_same_results(
    one: Callable[[str], pd.DataFrame], other: Callable[[str], pd.DataFrame]
) -> None:
    """Two sweeps made the same, to the bit, but for times and numbers of attempts.

    Args:
      one, other: the table of a sweep that has a name.
    """
    keys = ["run_id", "arch_id", "image", "side", "component"]
    for name, columns in {
        "rate_distortion": None,
        "architectures": None,
        "complexity": None,
        "points": None,
        "runs": ["run_id", "arch_id", "status", "steps", "batch_size", "seed"],
    }.items():
        a, b = one(name), other(name)
        if columns is None:
            columns = [column for column in a if not column.endswith("_ms")]
        order = [key for key in keys if key in columns]
        pd.testing.assert_frame_equal(
            a[columns].sort_values(order).reset_index(drop=True),
            b[columns].sort_values(order).reset_index(drop=True),
            check_exact=True,
        )
