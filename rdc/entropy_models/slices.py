"""Entropy parameters of one slice of y, and the networks behind them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers import Conv, Network, ParameterFactory, Relu
from rdc.ops.gaussian import scale_index_from_output


class SliceModel(nnx.Module):
    """Mean and scale of one slice of y from hyper features and decoded slices.

        features -> projection -+- mean_features --+- mean  -> mean
        support (decoded) ------+------------------+
                                +- scale_features -+- scale -> scale_index
        mean input, y_hat of this slice -> lrp -> refined y_hat

    A hyperprior is the case of one slice, no support and no networks.

    Args:
      channels: width of the slice.
      mean_features, scale_features: channel ranges of the projected hyper features
        that the two networks see; without `mean_features` the mean is zero.
      max_support_slices: the *first* so many decoded slices are the support.
      projection: on the hyper features; shared by mean, scale and LRP.
      mean, scale: networks on features and support.
      lrp: latent residual prediction, 0.5 tanh of this network.
      lrp_merge: network on (y_hat, lrp) concatenated; without it, they are added.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale_features: tuple[int, int],
        mean_features: tuple[int, int] | None = None,
        max_support_slices: int = 0,
        projection: Network | None = None,
        mean: Network | None = None,
        scale: Network | None = None,
        lrp: Network | None = None,
        lrp_merge: Network | None = None,
    ):
        self.channels = channels
        self.mean_features = mean_features
        self.scale_features = scale_features
        self.max_support_slices = max_support_slices
        self.projection = projection or Network()
        self.mean = mean or Network()
        self.scale = scale or Network()
        self.lrp = lrp
        self.lrp_merge = lrp_merge

    def entropy_parameters(
        self, features: jax.Array, support: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(mean, scale_index, mean_input), f32[B,h,w,channels] and the LRP's input.

        Args:
          features: f32[B,h,w,F] from the hyper-synthesis.
          support: y_hat of the slices decoded so far; those past
            `max_support_slices` are ignored.
        """
        features = self.projection(features)
        support = support[: self.max_support_slices]

        def joined(channel_range: tuple[int, int]) -> jax.Array:
            first, last = channel_range
            return jnp.concatenate([features[..., first:last], *support], axis=-1)

        scale_index = scale_index_from_output(self.scale(joined(self.scale_features)))
        if self.mean_features is None:
            return jnp.zeros_like(scale_index), scale_index, features[..., :0]
        mean_input = joined(self.mean_features)
        mean = self.mean(mean_input).astype(jnp.float32)
        return mean, scale_index, mean_input

    def refine(self, mean_input: jax.Array, y_hat: jax.Array) -> jax.Array:
        """Adds what the quantisation is predicted to have removed (LRP)."""
        if self.lrp is None:
            return y_hat
        residual = self.lrp(jnp.concatenate([mean_input, y_hat], axis=-1))
        residual = 0.5 * jnp.tanh(residual)
        if self.lrp_merge is None:
            return y_hat + residual
        return self.lrp_merge(jnp.concatenate([y_hat, residual], axis=-1))


def slice_network(
    parameters: ParameterFactory,
    in_channels: int,
    widths: tuple[int, ...],
    kernels: tuple[int, ...],
) -> Network:
    """Convolutions with ReLU between."""
    layers: list[nnx.Module] = []
    for width, kernel in zip(widths, kernels, strict=True):
        layers += [Conv(parameters, in_channels, width, kernel), Relu()]
        in_channels = width
    return Network(*layers[:-1])


def lrp_merge(parameters: ParameterFactory, channels: int) -> Network:
    """1x1 convolution of (y_hat, lrp) that starts as their sum."""
    conv = Conv(parameters, 2 * channels, channels, 1)
    start = np.concatenate([np.eye(channels)] * 2)[None, None]
    conv.kernel = parameters.constant(start, start.shape)
    return Network(conv)
