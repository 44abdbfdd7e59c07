"""Stand-ins for rounding while latents are optimised (C3, section 3.1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def soft_round(x: jax.Array, temperature: jax.Array) -> jax.Array:
    """Rounds the more sharply the lower the temperature (Agustsson & Theis 2020).

    The identity at infinity, a step function at zero.
    """
    middle = jnp.floor(x) + 0.5
    return middle + jnp.tanh((x - middle) / temperature) / (
        2 * jnp.tanh(0.5 / temperature)
    )


def soft_rounded_with_noise(
    x: jax.Array, noise: jax.Array, temperature: jax.Array
) -> jax.Array:
    """Soft rounding, noise, soft rounding again: what the networks are shown."""
    return soft_round(soft_round(x, temperature) + noise, temperature)
