"""What docs/format.md says of exact networks is enough to decode."""

from __future__ import annotations

import json

import pytest

from tests.golden import exact_latents
from tests.golden.write import EXACT_LATENTS
from tests.unit.rdc.exact.reference_networks import ReferenceNetworks


@pytest.mark.parametrize("name", exact_latents.ARCHITECTURES)
def test_a_second_implementation_gives_the_recorded_latents(name: str) -> None:
    model = exact_latents.drawn(name)
    found = exact_latents.of_model(model, ReferenceNetworks(model).run)
    assert found == json.loads(EXACT_LATENTS.read_text())[name]


@pytest.mark.parametrize("rate", [0, 0.4375, 2])
def test_a_second_implementation_follows_the_rate(rate: float) -> None:
    model = exact_latents.drawn("elic-charm-swint", (0.003, 0.0125, 0.05))
    networks = ReferenceNetworks(model)
    found = exact_latents.of_model(model, networks.run, rate)
    assert found == exact_latents.of_model(model, None, rate)
