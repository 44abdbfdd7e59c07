"""Blocks of 1x1 and depthwise 3x3 convolutions: those of EVC and DCVC-UF-Intra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers.convolution import Conv
from rdc.layers.network import Network, Relu
from rdc.layers.parameters import ParameterFactory
from rdc.ops.activations import leaky_relu, sharp_silu
from rdc.ops.convolution import (
    depth_to_space,
    depthwise_convolve,
    space_to_depth,
)

# Of the initial weights that end a residual branch. With 1, features behind the deep
# chains of these blocks begin far too large (docs/decisions/033-evc.md).
BRANCH_GAIN = 0.1


class DepthwiseConv(nnx.Module):
    """k x k convolution of every channel by itself, with bias."""

    def __init__(self, parameters: ParameterFactory, channels: int, kernel: int):
        self.kernel = parameters.weights((kernel, kernel, 1, channels), kernel**2)
        self.bias = parameters.bias(channels, kernel**2)

    def __call__(self, x: jax.Array) -> jax.Array:
        return depthwise_convolve(x, self.kernel[...]) + self.bias[...]


class LeakyRelu(nnx.Module):
    """x above zero, slope * x below."""

    def __init__(self, slope: float):
        self.slope = slope

    def __call__(self, x: jax.Array) -> jax.Array:
        return leaky_relu(x, self.slope)


class SharpSilu(nnx.Module):
    """x * sigmoid(4 x)."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return sharp_silu(x)


class SpaceToDepth(nnx.Module):
    """f[B,H,W,C] -> f[B,H/2^n,W/2^n,4^n C]."""

    def __init__(self, times: int = 1):
        self.times = times

    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.times):
            x = space_to_depth(x)
        return x


class DepthToSpace(nnx.Module):
    """The inverse of `SpaceToDepth`."""

    def __init__(self, times: int = 1):
        self.times = times

    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.times):
            x = depth_to_space(x)
        return x


class Residual(nnx.Module):
    """shortcut(x) + branch(x); an empty shortcut is the identity."""

    def __init__(self, branch: Network, shortcut: Network | None = None):
        self.branch = branch
        self.shortcut = shortcut or Network()

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.shortcut(x) + self.branch(x)


def halving_block(
    parameters: ParameterFactory, in_channels: int, channels: int
) -> Residual:
    """3x3 of stride 2, leaky, 3x3, leaky, beside 1x1 of stride 2 (EVC, figure 3)."""
    return Residual(
        Network(
            Conv(parameters, in_channels, channels, 3, stride=2),
            LeakyRelu(0.01),
            Conv(parameters, channels, channels, 3),
            LeakyRelu(0.1),
        ),
        Network(Conv(parameters, in_channels, channels, 1, stride=2)),
    )


def doubling_block(
    parameters: ParameterFactory, in_channels: int, channels: int
) -> Residual:
    """1x1 and depth to space, leaky, 3x3, leaky, beside 1x1 and depth to space."""
    return Residual(
        Network(
            Conv(parameters, in_channels, 4 * channels, 1),
            DepthToSpace(),
            LeakyRelu(0.01),
            Conv(parameters, channels, channels, 3),
            LeakyRelu(0.1),
        ),
        Network(Conv(parameters, in_channels, 4 * channels, 1), DepthToSpace()),
    )


def depth_block(parameters: ParameterFactory, channels: int) -> Network:
    """x += [1x1, leaky, depthwise 3x3, leaky, 1x1, leaky], then
    x += [1x1 to 4 c, ReLU, 1x1, ReLU]: the block of EVC's transforms.

    The released code has ReLU in the second part, the paper's text leaky ones.
    """
    return Network(
        Residual(
            Network(
                Conv(parameters, channels, channels, 1),
                LeakyRelu(0.01),
                DepthwiseConv(parameters, channels, 3),
                LeakyRelu(0.01),
                Conv(parameters, channels, channels, 1, gain=BRANCH_GAIN),
                LeakyRelu(0.01),
            )
        ),
        Residual(
            Network(
                Conv(parameters, channels, 4 * channels, 1),
                Relu(),
                Conv(parameters, 4 * channels, channels, 1, gain=BRANCH_GAIN),
                Relu(),
            )
        ),
    )


def wide_depth_block(
    parameters: ParameterFactory, in_channels: int, channels: int
) -> Network:
    """[1x1, leaky, depthwise 3x3, 1x1] beside 1x1 where the width changes, then
    x += [1x1 to i, leaky, 1x1, leaky], i = max(min(4 c, 1024), 2 c): the block of EVC's
    hyper-transform and priors.
    """
    inner = max(min(4 * channels, 1024), 2 * channels)
    widens = in_channels != channels
    shortcut = [Conv(parameters, in_channels, channels, 1)] if widens else []
    return Network(
        Residual(
            Network(
                Conv(parameters, in_channels, in_channels, 1),
                LeakyRelu(0.01),
                DepthwiseConv(parameters, in_channels, 3),
                Conv(parameters, in_channels, channels, 1, gain=BRANCH_GAIN),
            ),
            Network(*shortcut),
        ),
        Residual(
            Network(
                Conv(parameters, channels, inner, 1),
                LeakyRelu(0.1),
                Conv(parameters, inner, channels, 1, gain=BRANCH_GAIN),
                LeakyRelu(0.1),
            )
        ),
    )


class ChunkSum(nnx.Module):
    """Adds the quarters of the channels: f[...,4 C] -> f[...,C]."""

    def __call__(self, x: jax.Array) -> jax.Array:
        one, two, three, four = jnp.split(x, 4, axis=-1)
        return one + two + three + four


def one_scale_block(
    parameters: ParameterFactory,
    in_channels: int,
    channels: int,
    adapted: bool = False,
    outer: bool = False,
) -> Network:
    """x += [1x1, act, depthwise 3x3, 1x1], then x += [1x1 to 4 c, act, sum of quarters,
    1x1], act = x sigmoid(4 x): DCVC-UF-Intra's block, 7 c^2 + 9 c products a position.

    Args:
      adapted: 1x1 first, also where the width stays.
      outer: one more shortcut around both parts.
    """
    inside = Network(
        Residual(
            Network(
                Conv(parameters, channels, channels, 1),
                SharpSilu(),
                DepthwiseConv(parameters, channels, 3),
                Conv(parameters, channels, channels, 1, gain=BRANCH_GAIN),
            )
        ),
        Residual(
            Network(
                Conv(parameters, channels, 4 * channels, 1),
                SharpSilu(),
                ChunkSum(),
                Conv(parameters, channels, channels, 1, gain=BRANCH_GAIN),
            )
        ),
    )
    layers: list[nnx.Module] = []
    if adapted or in_channels != channels:
        layers.append(Conv(parameters, in_channels, channels, 1))
    layers.append(Residual(inside) if outer else inside)
    return Network(*layers)
