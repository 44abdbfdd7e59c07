"""Sequences of layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx


class Network(nnx.Module):
    """Layers in order. An empty network is the identity."""

    def __init__(self, *layers: nnx.Module):
        self.layers = nnx.List(layers)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


class Branches(nnx.Module):
    """Networks on the same input, outputs concatenated over channels."""

    def __init__(self, *branches: nnx.Module):
        self.branches = nnx.List(branches)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([branch(x) for branch in self.branches], axis=-1)


class Appended(nnx.Module):
    """x and what a network makes of it, concatenated over channels."""

    def __init__(self, network: Network):
        self.network = network

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([x, self.network(x)], axis=-1)


class Relu(nnx.Module):
    """max(x, 0)."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.max(x, jnp.zeros((), x.dtype))  # traced faster than nn.relu
