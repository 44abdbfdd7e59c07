"""Where this user's computer keeps what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def user_cache_folder() -> Path:
    """The project's part of the user's cache folder; it may not exist yet."""
    return user_cache_path("rdc-frontier")


def compilation_cache() -> dict[str, str]:
    """Environment of processes that share what XLA compiled, set before JAX starts.

    A folder that the user chose stays.
    """
    name = "JAX_COMPILATION_CACHE_DIR"
    return {name: os.environ.get(name, str(user_cache_folder() / "jax"))}
