"""Activations that several layers share."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def leaky_relu(x: jax.Array, slope: float) -> jax.Array:
    """x above zero, slope * x below; 0 < slope < 1."""
    return jnp.maximum(x, slope * x)


def sharp_silu(x: jax.Array) -> jax.Array:
    """x * sigmoid(4 x), between ReLU and SiLU.

    By tanh, of which there is an integer table (`rdc.exact`).
    """
    return x * (0.5 + 0.5 * jnp.tanh(2.0 * x))
