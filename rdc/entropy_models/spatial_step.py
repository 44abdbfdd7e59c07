"""A coding step of a spatial prior: every position gives one group of its channels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.entropy_models.gaussian_step import GaussianParameters
from rdc.entropy_models.patterns import Pattern
from rdc.layers import Network
from rdc.ops.bounds import lower_bound
from rdc.ops.gaussian import scale_index_from_output

LEAST_STEP = 0.5


class SpatialStep(nnx.Module):
    """Mean, scale and quantisation step of one pass.

        features = [steps,] scales, means [, context]
        y_hat / steps, context -> network -> [scales,] means of all channels
        all of them -> the pattern's part

    The first pass has no network: its parameters are those of the features.

    Args:
      pattern: the part of y.
      latent_channels: of y.
      adaptive_steps: features begin with a quantisation step for every symbol.
      context: channel range of the features that the network sees.
      network: on y_hat in steps, zero where nothing was decoded, and the context; its
        last outputs are means, what is before them scales.
      network_gives_scales: or else they are those of the features in every pass.
    """

    latent, tables = "y", "gaussian"
    lrp = None

    def __init__(
        self,
        pattern: Pattern,
        latent_channels: int,
        *,
        adaptive_steps: bool,
        context: tuple[int, int] = (0, 0),
        network: Network | None = None,
        network_gives_scales: bool = True,
    ):
        self.pattern = pattern
        self.latent_channels = latent_channels
        self.adaptive_steps = adaptive_steps
        self.context = context
        self.network = network
        self.network_gives_scales = network_gives_scales
        self.support_channels = 0 if network is None else latent_channels

    @property
    def chains(self) -> list[list[nnx.Module]]:
        """As of `GaussianStep`."""
        return [[] if self.network is None else [self.network]]

    def select(self, y: jax.Array) -> jax.Array:
        """The part of y that this step codes."""
        return self.pattern.select(y)

    def place(self, part: jax.Array, y_hat: jax.Array | None) -> jax.Array:
        """y_hat decoded so far with this step's part."""
        return self.pattern.place(part, y_hat)

    def unplaced(self) -> SpatialStep:
        """This step: what it computes depends on where its part lies."""
        return self

    def support(self, y_hat: Any) -> Any:
        """What of the decoded y_hat the network sees."""
        return y_hat

    def parameters(
        self, features: jax.Array, y_hat: jax.Array | None
    ) -> GaussianParameters:
        """Of the part, f32[B,h,w,latent_channels / groups] each.

        Args:
          features: f32[B,h,w,F] from hyper-synthesis and fusion.
          y_hat: decoded so far, zero elsewhere.
        """
        width, first = self.latent_channels, 0
        step = None
        if self.adaptive_steps:
            step, first = lower_bound(features[..., :width], LEAST_STEP), width
        scale = features[..., first : first + width]
        mean = features[..., first + width : first + 2 * width]
        if self.network is not None:
            assert y_hat is not None
            decoded = y_hat if step is None else y_hat / step
            begin, end = self.context
            seen = jnp.concatenate([decoded, features[..., begin:end]], axis=-1)
            found = self.network(seen)
            mean = found[..., -width:]
            if self.network_gives_scales:
                scale = found[..., :width]
        mean, scale = (self.select(m.astype(jnp.float32)) for m in (mean, scale))
        if step is not None:
            step = self.select(step.astype(jnp.float32))
            mean = mean * step
        index = scale_index_from_output(scale)
        return GaussianParameters(mean, index, features[..., :0], step)

    def refine(self, part: jax.Array, parameters: GaussianParameters) -> jax.Array:
        """The part: there is no LRP."""
        return part
