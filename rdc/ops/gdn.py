"""Generalised divisive normalisation."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from rdc.ops.bounds import lower_bound
from rdc.ops.products import channel_product

GdnForm = Literal["simplified", "original"]

BETA_MINIMUM = 1e-6
_PEDESTAL = 2.0**-36  # keeps the square root's gradient finite at 0


def nonnegative(stored: jax.Array, minimum: float = 0.0) -> jax.Array:
    """The parameter p >= minimum that `stored` = sqrt(p + 2^-36) stands for."""
    bounded = lower_bound(stored, (minimum + _PEDESTAL) ** 0.5)
    return jnp.square(bounded) - _PEDESTAL


def stored_nonnegative(p: float) -> float:
    """The inverse of `nonnegative`, for initial values."""
    return (p + _PEDESTAL) ** 0.5


def gdn(
    x: jax.Array,
    beta: jax.Array,
    gamma: jax.Array,
    inverse: bool = False,
    form: GdnForm = "simplified",
) -> jax.Array:
    """Divides each channel by a norm pooled over channels; `inverse` multiplies.

    Args:
      x: f32[B,H,W,C].
      beta: f32[C], positive.
      gamma: f32[C,C], non-negative, [input channel, output channel].
      form: `simplified`: beta + gamma |x| (TensorFlow Compression's default, alpha =
        epsilon = 1); `original`: sqrt(beta + gamma x^2) (Balle et al. 2016).
    """
    if form == "simplified":
        norm = channel_product(jnp.abs(x), gamma) + beta
        return x * norm if inverse else x / norm
    squared = channel_product(jnp.square(x), gamma) + beta
    return x * jnp.sqrt(squared) if inverse else x * jax.lax.rsqrt(squared)
