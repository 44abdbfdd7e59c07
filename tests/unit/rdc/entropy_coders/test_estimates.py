"""Estimates agree with real bytes, however wrong the scales are."""

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.estimates import estimated_bits
from rdc.ops.gaussian import gaussian_bits, scale_from_index
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN


@pytest.mark.parametrize("spread", [1.0, 5.0, 30.0, 1000.0])
def test_an_estimate_is_what_the_coder_writes(spread: float) -> None:
    """Every 50th symbol has so many times the scale that its table was told."""
    rng = np.random.default_rng(3)
    index = rng.integers(5, 40, 50000).astype(np.int32)
    scale = np.array(scale_from_index(jnp.asarray(index, jnp.float32)))
    scale[::50] *= spread
    symbols = np.rint(scale * rng.standard_normal(index.size))
    bits = np.asarray(gaussian_bits(symbols, index.astype(np.float32)))
    coded = symbols.astype(np.int32), index, GAUSSIAN
    encoder = coder_by_name("range").encoder()
    encoder.put(*coded)
    written = 8 * len(encoder.finish())
    assert estimated_bits(bits, *coded) == pytest.approx(written, rel=0.005)


def test_without_escapes_an_estimate_is_the_sum_of_likelihoods() -> None:
    bits = np.array([0.5, 3.25], np.float32)
    coded = np.array([0, 1], np.int32), np.array([30, 30], np.int32), GAUSSIAN
    assert estimated_bits(bits, *coded) == 3.75
