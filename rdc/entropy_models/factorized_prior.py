"""The learned density of z, or of y where there is no hyper-transform."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers import ParameterFactory
from rdc.ops.factorized_density import cumulative_logits, interval_bits
from rdc.specs.components import PRIOR_FILTERS

INITIAL_SCALE = 10.0


class FactorizedPrior(nnx.Module):
    """Deep factorised density, one per channel.

    Balle et al. 2018, appendix 6.1, in the form of TensorFlow Compression's
    `DeepFactorized`. Symbols are plain integers: no learned offset.

    Args:
      filters: hidden widths; (3, 3) have 28 parameters per channel, EVC's (1, 1, 1) 11.
    """

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        filters: tuple[int, ...] = PRIOR_FILTERS,
    ):
        self.channels = channels
        widths = (1, *filters, 1)
        scale = INITIAL_SCALE ** (1 / (len(widths) - 1))
        matrices, biases, factors = [], [], []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            start = math.log(math.expm1(1 / scale / fan_out))
            matrices.append(parameters.constant(start, (channels, fan_in, fan_out)))
            # fan_in 12 gives U(-1/2, 1/2), which spreads the steps of the sigmoids.
            biases.append(parameters.weights((channels, fan_out), fan_in=12.0))
            if i < len(filters):
                factors.append(parameters.constant(0.0, (channels, fan_out)))
        self.matrices = nnx.List(matrices)
        self.biases = nnx.List(biases)
        self.factors = nnx.List(factors)

    def bits(self, x: jax.Array, step: float | jax.Array = 1.0) -> jax.Array:
        """-log2 of the mass of [x - 1/2, x + 1/2] * step, f32[..., C] like x.

        Args:
          step: of the quantisation, per channel where it is an array, f32[..., C].
        """
        lower, upper = self._logits((x - 0.5) * step), self._logits((x + 0.5) * step)
        return interval_bits(lower, upper)

    def masses(self, limit: int, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Probabilities of the integers -limit..limit, f64[C, 2 limit + 1].

        Args:
          step: as of `bits`, a number or f32[C].
        """
        from scipy.special import expit  # a fifth of a second, and for exports alone

        edges = np.arange(-limit, limit + 2) - 0.5
        logits = np.asarray(
            self._logits(edges[:, None] * np.broadcast_to(step, self.channels)),
            np.float64,
        ).T
        sign = np.where(logits[:, :-1] + logits[:, 1:] > 0, -1.0, 1.0)
        lower, upper = (expit(sign * edge) for edge in (logits[:, :-1], logits[:, 1:]))
        return np.abs(upper - lower)

    def _logits(self, x: jax.Array | np.ndarray) -> jax.Array:
        return cumulative_logits(
            jnp.asarray(x),
            [m[...] for m in self.matrices],
            [b[...] for b in self.biases],
            [f[...] for f in self.factors],
        )
