"""Adam (Kingma & Ba 2015) over a tree; the codec must not need the training extra."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class AdamState(NamedTuple):
    """Moments of the gradient, and the number of steps."""

    first: Any
    second: Any
    step: jax.Array

    @classmethod
    def of(cls, values: Any) -> AdamState:
        zeros = jax.tree.map(jnp.zeros_like, values)
        return cls(zeros, jax.tree.map(jnp.copy, zeros), jnp.int32(0))


def update(
    values: Any, gradient: Any, state: AdamState, rate: jax.Array
) -> tuple[Any, AdamState]:
    """One step at a learning rate."""
    step = state.step + 1
    first = jax.tree.map(
        lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, state.first, gradient
    )
    second = jax.tree.map(
        lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g * g, state.second, gradient
    )
    number = step.astype(jnp.float32)
    size = rate * jnp.sqrt(1 - _BETA_2**number) / (1 - _BETA_1**number)
    moved = jax.tree.map(
        lambda p, m, v: p - size * m / (jnp.sqrt(v) + _EPSILON), values, first, second
    )
    return moved, AdamState(first, second, step)
