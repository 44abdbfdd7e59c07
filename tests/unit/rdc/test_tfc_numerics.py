"""Bit costs equal those of TensorFlow Compression's densities.

`tests/golden/write_tfc_bits.py` recorded parameters, values and bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.layers import ParameterFactory
from rdc.ops.gaussian import gaussian_bits
from rdc.ops.scales import MAX_SCALE, MIN_SCALE, NUM_SCALES

RECORDED = Path(__file__).parents[2] / "golden/tfc_bits.npz"
# A probability next to 1 has no more digits in float32: 2^-24 of it is 1e-7 bits.
ABSOLUTE = 1e-6


@pytest.fixture(scope="module")
def recorded() -> Mapping[str, np.ndarray]:
    return np.load(RECORDED)


def test_noisy_normal(recorded: Mapping[str, np.ndarray]) -> None:
    scale = recorded["normal/scale"]
    index = np.log(scale / MIN_SCALE) / np.log(MAX_SCALE / MIN_SCALE)
    centred = recorded["normal/value"] - recorded["normal/mean"]
    bits = gaussian_bits(
        jnp.asarray(centred, jnp.float32),
        jnp.asarray(index * (NUM_SCALES - 1), jnp.float32),
    )
    expected = recorded["normal/bits"]
    np.testing.assert_allclose(bits, expected, rtol=1e-4, atol=ABSOLUTE)


def test_noisy_deep_factorized(recorded: Mapping[str, np.ndarray]) -> None:
    value = recorded["factorized/value"]
    prior = FactorizedPrior(ParameterFactory(0), value.shape[1])
    for i, matrix in enumerate(prior.matrices):
        # Theirs are [channel, out, in].
        matrix.set_value(_tfc(recorded, f"matrix_{i}").swapaxes(1, 2))
    for i, bias in enumerate(prior.biases):
        bias.set_value(_tfc(recorded, f"bias_{i}")[..., 0])
    for i, factor in enumerate(prior.factors):
        factor.set_value(_tfc(recorded, f"factor_{i}")[..., 0])
    bits = prior.bits(jnp.asarray(value, jnp.float32))
    np.testing.assert_allclose(
        bits, recorded["factorized/bits"], rtol=1e-4, atol=ABSOLUTE
    )


def _tfc(recorded: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return recorded[f"factorized/DeepFactorized/{name}"].astype(np.float32)
