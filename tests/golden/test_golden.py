"""Identities and costs of the named architectures never change by accident."""

from __future__ import annotations

import json

import pytest

from rdc.architectures import NAMED
from tests.golden.write import ARCHITECTURES, architectures


@pytest.fixture(scope="module")
def now() -> dict:
    return architectures()


@pytest.mark.parametrize("name", NAMED)
def test_named_architecture(name: str, now: dict) -> None:
    assert now[name] == json.loads(ARCHITECTURES.read_text())[name]
