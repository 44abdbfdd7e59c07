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


def rounding_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """U(-1/2, 1/2), f32[shape]: added to symbols, the training proxy `x_tilde`."""
    return jax.random.uniform(key, shape, jnp.float32, -0.5, 0.5)
