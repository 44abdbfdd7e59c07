"""Versions and commit behind a result."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from rdc.system.code import code_sha256, git_sha


def environment(hardware: dict[str, Any]) -> dict[str, Any]:
    """`Record.environment` of a process on `hardware` (`rdc.system.hardware`)."""
    return {
        "git_sha": git_sha(),
        "code_sha256": code_sha256(),
        "python_version": platform.python_version(),
        "jax_version": metadata.version("jax"),
        "flax_version": metadata.version("flax"),
        "hardware_id": hardware["hardware_id"],
        "hardware": hardware,
    }
