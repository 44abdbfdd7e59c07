"""Surrogates of rounding for training (trap: each has its place).

The rate of the Gaussian and factorised models is trained on values with additive
uniform noise; everything that the decoder computes from sees straight-through
rounding (Minnen & Singh 2020, section 3.3).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def ste_round(x: jax.Array) -> jax.Array:
    """Rounds to integers; the gradient passes straight through."""
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def ste_round_offset(x: jax.Array, offset: jax.Array) -> jax.Array:
    """round(x - offset) + offset with a straight-through gradient in x."""
    return ste_round(x - offset) + offset


def additive_noise(key: jax.Array, x: jax.Array) -> jax.Array:
    """x + U(-1/2, 1/2), the training proxy `x_tilde`."""
    return x + jax.random.uniform(key, x.shape, x.dtype, -0.5, 0.5)
