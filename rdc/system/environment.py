"""Versions and commit behind a result."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


def environment(hardware: dict[str, Any]) -> dict[str, Any]:
    """`Record.environment` of a process on `hardware` (`rdc.system.hardware`)."""
    return {
        "git_sha": git_sha(),
        "python_version": platform.python_version(),
        "jax_version": metadata.version("jax"),
        "flax_version": metadata.version("flax"),
        "hardware_id": hardware["hardware_id"],
        "hardware": hardware,
    }


@cache
def git_sha() -> str | None:
    """Commit of this source tree, with `-dirty` where it was changed; else None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--match="],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
