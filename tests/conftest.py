"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rdc.system.user_cache import user_cache_folder

# What XLA compiled for the tests is kept: the next run takes half the time. One folder
# per worker: who reads a half-written entry is warned, and warnings are errors here.
_COMPILED = f"jax-tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(user_cache_folder() / _COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# A shell has background jobs ignore SIGINT; what tests start would then ignore it, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Photographs and published curves that the tests use (see README, Tests)."""
    folder = Path(os.environ.get("RDC_TEST_DATA", REPOSITORY.parent / "shared/data"))
    if not folder.is_dir():
        pytest.fail(f"test data is missing: no {folder}; set RDC_TEST_DATA")
    return folder
