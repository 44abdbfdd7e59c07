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


@jax.jit
def normalize_live_channels(x: jax.Array, live: jax.Array) -> jax.Array:
    """As `normalize_over_channels`, over the channels that are not silent.

    Args:
      live: f32[C], 1 where a channel counts; elsewhere x is 0.
    """
    share = live.size / jnp.sum(live)
    centred = x - jnp.mean(x, axis=-1, keepdims=True) * share
    variance = jnp.mean(jnp.square(centred) * live, axis=-1, keepdims=True) * share
    return centred * jax.lax.rsqrt(variance + EPSILON)
