"""Fixtures that all tests share, and the line that names what was not run."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from rdc.data.bundled import SPLITS, bundled_images
from rdc.system.user_cache import user_cache_folder
from tests.needs import closing_line, data_folder, kodak_folder, needs

# What XLA compiled for the tests is kept: the next run takes half the time. One folder
# per worker: who reads a half-written entry is warned, and warnings are errors here.
_COMPILED = f"jax-tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(user_cache_folder() / _COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# A shell has background jobs ignore SIGINT; what tests start would then ignore it, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
# Fixtures of photographs: tests that use one get the marker `photographs`.
_PHOTOGRAPHS = {"photographs", "kodak", "shared_data"}


@pytest.fixture(scope="session")
def photographs() -> dict[str, list[Path]]:
    """By split, "train" and "eval": the same photographs on every machine."""
    return {split: bundled_images(split) for split in SPLITS}


@pytest.fixture(scope="session")
def kodak() -> Path:
    """The folder of the 24 Kodak images, for tests that are about these."""
    needs("kodak")
    folder = kodak_folder()
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the image sets, for the measurements of `make bench`."""
    needs("kodak")
    needs("image_sets")
    return data_folder()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if _PHOTOGRAPHS & set(getattr(item, "fixturenames", ())):
            item.add_marker("photographs")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("tfc"):
        needs("tfc")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """With xdist, too: the controller has the reports of all workers."""
    skipped = terminalreporter.stats.get("skipped", [])
    line = closing_line(str(report.longrepr[2]) for report in skipped)
    if line is not None:
        terminalreporter.write_line(line, yellow=True)
