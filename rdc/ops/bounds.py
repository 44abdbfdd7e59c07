"""Bounds whose gradient can bring a value back."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def lower_bound(x: jax.Array, bound: float) -> jax.Array:
    """max(x, bound), passing the gradient where x >= bound or where it would raise x.

    A plain maximum kills the gradient for good once x falls below the bound
    (Balle et al. 2018, as `lower_bound` in TensorFlow Compression).
    """
    return jnp.maximum(x, bound)


def _lower_forward(x: jax.Array, bound: float) -> tuple[jax.Array, jax.Array]:
    return jnp.maximum(x, bound), x >= bound


def _lower_backward(
    bound: float, inside: jax.Array, gradient: jax.Array
) -> tuple[jax.Array]:
    # Descent moves against the gradient: a negative one raises x.
    return (jnp.where(inside | (gradient < 0), gradient, 0),)


lower_bound.defvjp(_lower_forward, _lower_backward)


def upper_bound(x: jax.Array, bound: float) -> jax.Array:
    """min(x, bound), the mirror image of `lower_bound`."""
    return -lower_bound(-x, -bound)
