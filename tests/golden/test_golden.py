"""Identities, costs and exact results never change by accident.

`make goldens` writes them again.
"""

from __future__ import annotations

import json

import pytest

from rdc.architectures import NAMED
from tests.golden import exact_latents
from tests.golden.write import ARCHITECTURES, EXACT_LATENTS, architectures


@pytest.fixture(scope="module")
def now() -> dict:
    return architectures()


@pytest.mark.parametrize("name", NAMED)
def test_named_architecture(name: str, now: dict) -> None:
    assert now[name] == json.loads(ARCHITECTURES.read_text())[name]


@pytest.mark.parametrize("name", exact_latents.ARCHITECTURES)
def test_exact_latents(name: str) -> None:
    """A change here changes the format: earlier streams could not be decoded."""
    model = exact_latents.drawn(name)
    recorded = json.loads(EXACT_LATENTS.read_text())
    assert exact_latents.of_model(model) == recorded[name]
