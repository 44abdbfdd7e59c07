"""What a training step changes of a model: the method of a training.

A method says what is trained (`initial`), how a model is made of it within the step
(`model`), which gradients count (`gradient`) and what follows an update (`updated`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.model import CompressionModel

Params = Any


class Method(Hashable, Protocol):
    """Of one training; hashable, because steps are compiled once for each."""

    def initial(self, model: CompressionModel) -> Params:
        """What is trained, with the weights of `model`."""

    def model(self, graph: nnx.GraphDef, params: Params) -> CompressionModel:
        """The model that computes the loss; traced."""

    def gradient(self, gradient: Params) -> Params:
        """The gradient that counts."""

    def updated(self, before: Params, after: Params) -> Params:
        """What the optimizer's update `before` -> `after` ends as."""


class Weights:
    """Plain training of the weights, all of them or those of some networks.

    Args:
      networks: paths in the model, as `extra_encoders.1`, of what is trained; (): all.
    """

    def __init__(self, networks: tuple[str, ...] = ()):
        self.networks = networks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and other.networks == self.networks

    def __hash__(self) -> int:
        return hash(self.networks)

    def initial(self, model: CompressionModel) -> Params:
        return nnx.state(model, nnx.Param)

    def model(self, graph: nnx.GraphDef, params: Params) -> CompressionModel:
        return nnx.merge(graph, params)

    def gradient(self, gradient: Params) -> Params:
        return only(self.networks, gradient)

    def updated(self, before: Params, after: Params) -> Params:
        return after


def only(networks: tuple[str, ...], gradient: Params) -> Params:
    """The gradient with zeros for all networks but these; (): as it is."""
    if not networks:
        return gradient

    def kept(path: Any, leaf: jax.Array) -> jax.Array:
        name = ".".join(str(getattr(key, "key", key)) for key in path)
        trained = any(name.startswith(f"{network}.") for network in networks)
        return leaf if trained else jnp.zeros_like(leaf)

    return jax.tree.map_with_path(kept, gradient)


ALL_WEIGHTS = Weights()
