"""Gains around y: one model, all rates."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers.parameters import ParameterFactory

Rate = float | jax.Array  # number of an operating point, or between two; one per image


class RateGains(nnx.Module):
    """Channel gains before the quantisation, and others after it, for every rate.

    The gain units of Cui et al. 2021 (arXiv 2003.02012, section 3): what comes
    after the quantisation is learned apart, and rates in between are geometric means.

    Args:
      lmbdas: of the rates, at least two, ascending. The gains begin as their
        square roots over that of the geometric mean, as rate-distortion theory has it.
      channels: of y.
    """

    def __init__(
        self, parameters: ParameterFactory, lmbdas: Sequence[float], channels: int
    ):
        logs = np.log(lmbdas)
        start = 0.5 * (logs - logs.mean())[:, None]
        shape = (len(lmbdas), channels)
        self.log_gain = parameters.constant(start, shape)
        self.log_inverse = parameters.constant(-start, shape)

    @property
    def num_rates(self) -> int:
        return self.log_gain.shape[0]

    def gain(self, rate: Rate) -> jax.Array:
        """What y is multiplied by: f32[C], or f32[B,1,1,C] for rates f32[B]."""
        return _between(self.log_gain[...], rate)

    def inverse(self, rate: Rate) -> jax.Array:
        """What y_hat is multiplied by, shaped as `gain`."""
        return _between(self.log_inverse[...], rate)


def _between(logs: jax.Array, rate: Rate) -> jax.Array:
    """exp of `logs`, f32[N,C], interpolated at `rate` in [0, N - 1]."""
    rate = jnp.asarray(rate, jnp.float32)
    lower = jnp.clip(jnp.floor(rate), 0, logs.shape[0] - 2).astype(jnp.int32)
    share = (rate - lower)[..., None]
    gain = jnp.exp((1 - share) * logs[lower] + share * logs[lower + 1])
    return gain[:, None, None, :] if rate.ndim else gain
