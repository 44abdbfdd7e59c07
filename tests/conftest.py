"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Photographs and published curves that the tests use (see README, Tests)."""
    folder = Path(os.environ.get("RDC_TEST_DATA", REPOSITORY.parent / "shared/data"))
    if not folder.is_dir():
        pytest.fail(f"test data is missing: no {folder}; set RDC_TEST_DATA")
    return folder
