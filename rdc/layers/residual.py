"""ELIC's residual and attention blocks."""

from __future__ import annotations

import jax
from flax import nnx

from rdc.layers.convolution import Conv
from rdc.layers.network import Network, Relu
from rdc.layers.parameters import ParameterFactory


class ResidualBlock(nnx.Module):
    """x + [1x1 to c/2, ReLU, 3x3, ReLU, 1x1 to c] (He et al. 2022, figure 6)."""

    def __init__(self, parameters: ParameterFactory, channels: int):
        half = channels // 2
        self.branch = Network(
            Conv(parameters, channels, half, 1),
            Relu(),
            Conv(parameters, half, half, 3),
            Relu(),
            Conv(parameters, half, channels, 1),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.branch(x)


class AttentionBlock(nnx.Module):
    """x + trunk * sigmoid(mask) (Cheng et al. 2020, figure 5, simplified form)."""

    def __init__(self, parameters: ParameterFactory, channels: int):
        self.trunk = Network(*(ResidualBlock(parameters, channels) for _ in range(3)))
        self.mask = Network(
            *(ResidualBlock(parameters, channels) for _ in range(3)),
            Conv(parameters, channels, channels, 1),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.trunk(x) * jax.nn.sigmoid(self.mask(x))
