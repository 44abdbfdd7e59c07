"""Deep factorised density: a learned univariate distribution per channel."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from rdc.ops.gaussian import log_one_minus_exp


def cumulative_logits(
    x: jax.Array,
    matrices: list[jax.Array],
    biases: list[jax.Array],
    factors: list[jax.Array],
) -> jax.Array:
    """Logits of the cumulative, monotone in x (Balle et al. 2018, appendix 6.1).

    Args:
      x: f32[..., C].
      matrices: f32[C, in, out] per layer, made positive by softplus.
      biases: f32[C, out] per layer.
      factors: f32[C, out] per hidden layer, gates of the tanh.
    """
    h = x.astype(jnp.float32)[..., None]
    for i, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        # Elementwise sums rather than a batched product: 3 x 3 per channel.
        h = jnp.sum(h[..., :, None] * jax.nn.softplus(matrix), axis=-2) + bias
        if i < len(factors):
            h = h + jnp.tanh(factors[i]) * jnp.tanh(h)
    return h[..., 0]


def interval_bits(lower: jax.Array, upper: jax.Array) -> jax.Array:
    """-log2 of sigmoid(upper) - sigmoid(lower), in log space."""
    # Both logits on the side where the sigmoid does not saturate at 1.
    flip = jax.lax.stop_gradient(lower + upper) > 0
    lower, upper = jnp.where(flip, -upper, lower), jnp.where(flip, -lower, upper)
    log_mass = (
        jax.nn.log_sigmoid(upper)
        + jax.nn.log_sigmoid(-lower)
        + log_one_minus_exp(lower - upper)
    )
    return -log_mass / math.log(2.0)
