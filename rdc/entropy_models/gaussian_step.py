"""A coding step with Gaussians: the entropy parameters of one part of y."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.entropy_models.selections import Channels
from rdc.layers import (
    NO_GAINS,
    Conv,
    Network,
    ParameterFactory,
    Relu,
    StepGains,
)
from rdc.ops.gaussian import gaussian_bits, scale_index_from_output, shifted_index


class GaussianParameters(NamedTuple):
    """Entropy parameters of a part of y; `scale_index` is an index, not a scale.

    Attributes:
      mean, scale_index: f32[B,h,w,channels]; the index without its bounds, as the
        networks of a `GaussianStep` give it, or within them, of a rate.
      mean_input: what the mean's network saw, for the LRP.
      step: of the quantisation, f32 like the mean; None: 1.
    """

    mean: jax.Array
    scale_index: jax.Array
    mean_input: jax.Array
    step: jax.Array | None = None


class GaussianStep(nnx.Module):
    """Mean and scale of one part of y from hyper features and what was decoded.

        features -> projection -+- mean_features --+- mean  -> mean
        support (decoded) ------+------------------+
                                +- scale_features -+- scale -> scale_index
        mean input, y_hat of this part -> lrp -> refined y_hat

    A hyperprior is the case of one step, no support and no networks.

    Args:
      selection: the part of y.
      mean_features, scale_features: channel ranges of the projected hyper features
        that the two networks see; without `mean_features` the mean is zero.
      support_channels: so many channels of y, the *first* decoded ones, are the
        support.
      scale_sees_support: or else hyper features alone.
      projection: on the hyper features; shared by mean, scale and LRP.
      mean, scale: networks on features and support.
      lrp: latent residual prediction, 0.5 tanh of this network.
      lrp_merge: network on (y_hat, lrp) concatenated; without it, they are added.
    """

    latent = "y"
    tables = "gaussian"

    def __init__(
        self,
        selection: Channels,
        *,
        scale_features: tuple[int, int],
        mean_features: tuple[int, int] | None = None,
        support_channels: int = 0,
        scale_sees_support: bool = True,
        projection: Network | None = None,
        mean: Network | None = None,
        scale: Network | None = None,
        lrp: Network | None = None,
        lrp_merge: Network | None = None,
    ):
        self.selection: Channels | None = selection
        self.mean_features = mean_features
        self.scale_features = scale_features
        self.support_channels = support_channels
        self.scale_sees_support = scale_sees_support
        self.projection = projection or Network()
        self.mean = mean or Network()
        self.scale = scale or Network()
        self.lrp = lrp
        self.lrp_merge = lrp_merge

    @property
    def chains(self) -> list[list[nnx.Module]]:
        """Networks from hyper features to what the step computes of them."""
        chains: list[list[nnx.Module]] = [
            [self.projection, network] for network in (self.mean, self.scale)
        ]
        if self.lrp is not None:
            merge = [] if self.lrp_merge is None else [self.lrp_merge]
            chains.append([self.projection, self.lrp, *merge])
        return chains

    def select(self, y: jax.Array) -> jax.Array:
        """The part of y that this step codes."""
        assert self.selection is not None
        return self.selection.select(y)

    def place(self, part: jax.Array, y_hat: jax.Array | None) -> jax.Array:
        """y_hat decoded so far with this step's part."""
        assert self.selection is not None
        return self.selection.place(part, y_hat)

    def unplaced(self) -> GaussianStep:
        """The same networks without `selection`: equal for steps that compute alike,
        which so share what is compiled or counted for one of them.
        """
        networks = copy.copy(self)
        networks.selection = None
        return networks

    def parameters(
        self, features: jax.Array, y_hat: jax.Array | None
    ) -> GaussianParameters:
        """Of the part, f32[B,h,w,channels] each.

        Args:
          features: f32[B,h,w,F] from the hyper-synthesis.
          y_hat: decoded so far; channels past `support_channels` are ignored.
        """
        features = self.projection(features)
        support = [] if not self.support_channels else [self.support(y_hat)]

        def joined(channel_range: tuple[int, int], decoded: list[Any]) -> jax.Array:
            first, last = channel_range
            return jnp.concatenate([features[..., first:last], *decoded], axis=-1)

        seen = joined(self.scale_features, support if self.scale_sees_support else [])
        scale_index = scale_index_from_output(self.scale(seen))
        if self.mean_features is None:
            zero = jnp.zeros_like(scale_index)
            return GaussianParameters(zero, scale_index, features[..., :0])
        mean_input = joined(self.mean_features, support)
        mean = self.mean(mean_input).astype(jnp.float32)
        return GaussianParameters(mean, scale_index, mean_input)

    def support(self, y_hat: Any) -> Any:
        """What of the decoded y_hat the networks see."""
        return y_hat[..., : self.support_channels]

    def refine(self, part: jax.Array, parameters: GaussianParameters) -> jax.Array:
        """Adds what the quantisation is predicted to have removed (LRP)."""
        return self.refined(part, parameters.mean_input)

    def refined(self, part: jax.Array, mean_input: jax.Array) -> jax.Array:
        """As `refine`, of what the mean's network saw."""
        if self.lrp is None:
            return part
        residual = self.lrp(jnp.concatenate([mean_input, part], axis=-1))
        residual = 0.5 * jnp.tanh(residual)
        if self.lrp_merge is None:
            return part + residual
        return self.lrp_merge(jnp.concatenate([part, residual], axis=-1))


class RatedStep:
    """A `GaussianStep` or `SpatialStep` at one rate.

    Its networks know values alone. In symbols, scales are wider by the gain.

    Args:
      gains: of all channels of y.
    """

    latent, tables = GaussianStep.latent, GaussianStep.tables

    def __init__(self, step: Any, gains: StepGains = NO_GAINS):
        self.select, self.place, self.refine = step.select, step.place, step.refine
        self._step, self._gains = step, gains.of(step.select)

    def parameters(
        self, features: jax.Array, y_hat: jax.Array | None
    ) -> GaussianParameters:
        """The mean of the values and the scale index of the symbols."""
        found = self._step.parameters(features, y_hat)
        index = shifted_index(found.scale_index, self._gains.gain)
        return found._replace(scale_index=index)

    def symbols(self, value: jax.Array, parameters: GaussianParameters) -> jax.Array:
        """Of a part of y, not rounded yet."""
        centred = (value - parameters.mean) * jnp.exp(self._gains.gain)
        return centred if parameters.step is None else centred / parameters.step

    def bits(self, symbols: jax.Array, parameters: GaussianParameters) -> jax.Array:
        """Of noisy or whole symbols, f32 like them."""
        return gaussian_bits(symbols, parameters.scale_index)

    def values(self, symbols: jax.Array, parameters: GaussianParameters) -> jax.Array:
        """The part of y_hat that symbols stand for."""
        centred = symbols * jnp.exp(self._gains.inverse)
        if parameters.step is not None:
            centred = centred * parameters.step
        return centred + parameters.mean


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
