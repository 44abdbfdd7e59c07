"""Pooling."""

from __future__ import annotations

import jax
from flax import nnx


class MaxPool(nnx.Module):
    """The largest of 3 x 3, stride 2, as behind a ResNet's stem."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=[(1, 1), (1, 1)])
