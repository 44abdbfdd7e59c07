"""Convolution layers and GDN."""

from __future__ import annotations

import jax
import numpy as np
from flax import nnx

from rdc.layers.parameters import ParameterFactory
from rdc.ops.convolution import convolve, convolve_padded, upsample
from rdc.ops.gdn import BETA_MINIMUM, GdnForm, gdn, nonnegative, stored_nonnegative


class Conv(nnx.Module):
    """k x k convolution with bias; see `rdc.ops.convolution.convolve`.

    Args:
      gain: of the initial weights.
    """

    def __init__(
        self,
        parameters: ParameterFactory,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        gain: float = 1.0,
    ):
        shape = (kernel, kernel, in_channels, out_channels)
        fan_in = kernel**2 * in_channels / gain**2
        self.kernel = parameters.weights(shape, fan_in)
        self.bias = parameters.bias(out_channels, fan_in)
        self.stride = stride

    def __call__(self, x: jax.Array) -> jax.Array:
        return convolve(x, self.kernel[...], self.stride) + self.bias[...]


class PaddedConv(nnx.Module):
    """k x k convolution without bias whose zero padding is stated, k even or odd.

    Networks that are cut into tiles have `Conv`: this one has no reach.
    """

    def __init__(
        self,
        parameters: ParameterFactory,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ):
        shape = (kernel, kernel, in_channels, out_channels)
        self.kernel = parameters.weights(shape, kernel**2 * in_channels)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.kernel[...]
        return convolve_padded(x, kernel, self.stride, self.padding, self.dilation)


class UpConv(nnx.Module):
    """Transposed k x k convolution of stride 2 with bias; doubles height and width."""

    def __init__(
        self,
        parameters: ParameterFactory,
        in_channels: int,
        out_channels: int,
        kernel: int,
    ):
        shape = (kernel, kernel, in_channels, out_channels)
        # On average a quarter of the taps meets each output position.
        fan_in = kernel**2 * in_channels / 4
        self.kernel = parameters.weights(shape, fan_in)
        self.bias = parameters.bias(out_channels, fan_in)

    def __call__(self, x: jax.Array) -> jax.Array:
        return upsample(x, self.kernel[...]) + self.bias[...]


class Gdn(nnx.Module):
    """GDN or its approximate inverse, with non-negative parameters."""

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        inverse: bool = False,
        form: GdnForm = "simplified",
    ):
        self.beta = parameters.constant(stored_nonnegative(1.0), (channels,))
        gamma = np.full((channels, channels), stored_nonnegative(0.0))
        np.fill_diagonal(gamma, stored_nonnegative(0.1))
        self.gamma = parameters.constant(gamma, gamma.shape)
        self.inverse = inverse
        self.form = form

    def __call__(self, x: jax.Array) -> jax.Array:
        beta = nonnegative(self.beta[...], BETA_MINIMUM)
        gamma = nonnegative(self.gamma[...])
        return gdn(x, beta, gamma, self.inverse, self.form)
