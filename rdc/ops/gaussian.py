"""Bits of integers under a Gaussian convolved with a unit box."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr

from rdc.ops.bounds import lower_bound, upper_bound
from rdc.ops.scales import MAX_SCALE, MIN_SCALE, NUM_SCALES

# Of one symbol in a search for better latents, near what an escape costs: -log2(1e-9).
# Training has no such bound; estimates of files are in rdc.entropy_coders.estimates.
MAX_BITS_IN_SEARCH = -math.log2(1e-9)

_LOG_MIN = math.log(MIN_SCALE)
_LOG_STEP = (math.log(MAX_SCALE) - _LOG_MIN) / (NUM_SCALES - 1)
LEVELS_PER_LOG = 1.0 / _LOG_STEP

# The index of scale 1. Networks give the distance to it, so that a network of
# zeros codes with unit scales rather than with the narrowest ones.
UNIT_SCALE_INDEX = -_LOG_MIN / _LOG_STEP

# Levels per unit of a network's output, which so is about the logarithm of the scale
# (8.1 levels are a factor of e). With one level per unit, scales lag behind growing
# latents for thousands of steps. See docs/decisions/016-scales-as-logarithms.md.
LEVELS_PER_UNIT = 8.0


def scale_index_from_output(output: jax.Array) -> jax.Array:
    """Network output -> `scale_index`, continuous, without its bounds.

    `scale_index` is an index into the log-spaced scales, not a scale; the codec
    rounds it to a table.
    """
    return LEVELS_PER_UNIT * output.astype(jnp.float32) + UNIT_SCALE_INDEX


def shifted_index(
    scale_index: jax.Array, log_factor: jax.Array | float = 0.0
) -> jax.Array:
    """The index of scales that are wider by a factor, in [0, 63]."""
    shifted = scale_index + log_factor * LEVELS_PER_LOG
    return upper_bound(lower_bound(shifted, 0.0), NUM_SCALES - 1.0)


def output_from_scale(scale: np.ndarray) -> np.ndarray:
    """The inverse of `scale_index_from_output`, for initial values; any scale > 0."""
    return np.log(scale) / (LEVELS_PER_UNIT * _LOG_STEP)


def scale_from_index(scale_index: jax.Array) -> jax.Array:
    """exp-interpolates between 0.11 (index 0) and 256 (index 63)."""
    return jnp.exp(_LOG_MIN + _LOG_STEP * scale_index)


def gaussian_bits(centred: jax.Array, scale_index: jax.Array) -> jax.Array:
    """-log2 of the mass of [centred - 1/2, centred + 1/2] under N(0, scale^2).

    Args:
      centred: f32[...], value minus mean; noisy in training, an integer in coding.
      scale_index: f32[...], in [0, 63].

    Returns:
      f32[...] bits, in log space: exact, with their gradient, however far out.
    """
    scale = scale_from_index(scale_index)
    # Folded to the left tail: both limits are then at most 1/2.
    distance = jnp.abs(centred.astype(jnp.float32))
    upper = log_ndtr((0.5 - distance) / scale)
    lower = log_ndtr((-0.5 - distance) / scale)
    return -(upper + log_one_minus_exp(lower - upper)) / math.log(2.0)


def log_one_minus_exp(x: jax.Array) -> jax.Array:
    """log(1 - exp(x)) for x < 0, precise at both ends (Maechler 2012).

    Where rounding left nothing of x, it counts as -1e-7.
    """
    x = upper_bound(x, -1e-7)
    # The branch that is not taken must stay finite, for its gradient's sake.
    near = x > -math.log(2.0)
    small = jnp.where(near, x, -1.0)
    large = jnp.where(near, -1.0, x)
    return jnp.where(near, jnp.log(-jnp.expm1(small)), jnp.log1p(-jnp.exp(large)))


def bounded(bits: jax.Array) -> jax.Array:
    """Bits with a bound: an escape costs no more, however far out."""
    return jnp.minimum(bits, MAX_BITS_IN_SEARCH)
