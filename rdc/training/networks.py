"""How the networks of a model compute in training: precision, and what is kept.

Both change a model that was merged for one traced computation; weights, likelihoods
and all that is between the networks stay as they are.

    float32 -> cast -> layers in bfloat16 -> cast -> last layer in float32 -> float32
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers import Branches, Network
from rdc.model import CompressionModel


class LowPrecision(nnx.Module):
    """A network in bfloat16 but for its last layer, between float32 interfaces.

    The last layer gives what is rounded, coded or compared: a latent of 300 or a
    sample of 8 bits has no room in the 8 bits of bfloat16's mantissa.
    """

    def __init__(self, network: Network):
        *body, last = network.layers
        self.body, self.last = Network(*body), last

    def __call__(self, x: jax.Array) -> jax.Array:
        graph, weights = nnx.split(self.body)
        low = jax.tree.map(lambda w: w.astype(jnp.bfloat16), weights)
        x = nnx.merge(graph, low)(x.astype(jnp.bfloat16))
        return self.last(x.astype(jnp.float32))


class Rematerialised(nnx.Module):
    """A layer of which the backward pass gets the input alone, and computes again."""

    def __init__(self, layer: nnx.Module):
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        graph, weights = nnx.split(self.layer)
        run = jax.checkpoint(lambda weights, x: nnx.merge(graph, weights)(x))
        return run(weights, x)


def prepare(model: CompressionModel, precision: str, remat: bool) -> None:
    """Makes the networks of a merged `model` compute as a recipe says."""
    for module in (model, *model.steps):
        for name, network in list(vars(module).items()):
            if isinstance(network, Network):
                if remat:
                    network = _blocks(network, Rematerialised)
                if precision == "bfloat16":
                    network = _low_precision(network)
                setattr(module, name, network)


def _blocks(layer: nnx.Module, wrap: Callable[[nnx.Module], nnx.Module]) -> nnx.Module:
    """The same structure of networks with every block in it wrapped."""
    if isinstance(layer, Network):
        return Network(*(_blocks(inner, wrap) for inner in layer.layers))
    if isinstance(layer, Branches):
        return Branches(*(_blocks(inner, wrap) for inner in layer.branches))
    return wrap(layer)


def _low_precision(network: nnx.Module) -> nnx.Module:
    if not isinstance(network, Network) or not network.layers:
        return network
    last = network.layers[-1]
    if len(network.layers) == 1 and isinstance(last, Branches):
        return Branches(*(_low_precision(branch) for branch in last.branches))
    return LowPrecision(network)
