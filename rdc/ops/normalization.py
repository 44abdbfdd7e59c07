"""LayerNorm's normalisation, as one operation."""

from __future__ import annotations

import jax
import jax.numpy as jnp

EPSILON = 1e-5  # added to the variance


@jax.jit
def normalize_over_channels(x: jax.Array) -> jax.Array:
    """f[..., C] -> (x - mean) / sqrt(variance + 1e-5) over C, elementwise like x.

    A compiled function of its own so that a traced network shows it under its name:
    `rdc.exact` computes it as a whole (docs/decisions/017). Compilers inline it.
    """
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON)
