"""Gains of latents: one model, all rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers.parameters import ParameterFactory
from rdc.ops.bounds import lower_bound

Rate = float | jax.Array  # number of an operating point, or between two; one per image

# Logarithms per unit of the weights: Adam moves all weights alike, and gains have to
# go further than others.
SPEED = 10.0
LEAST_STEP_LOG = math.log(0.5)


class StepGains(NamedTuple):
    """Logarithms of the gains of one rate, f32[C] each, or f32[B,1,1,C] of several.

    value -> (value - mean) * gain -> symbols -> symbols * inverse + mean -> value
    """

    gain: Any
    inverse: Any

    def of(self, select: Callable[[Any], Any]) -> StepGains:
        """Those of the channels that `select` takes of a latent."""
        return self if self is NO_GAINS else StepGains(*map(select, self))


NO_GAINS = StepGains(0.0, 0.0)


class RateGains(nnx.Module):
    """Channel gains before the quantisation, and others after it, for every rate.

    The gain units of Cui et al. 2021 (arXiv 2003.02012, section 3): what comes
    after the quantisation is learned apart, and rates in between are geometric means.

    Args:
      logs: of the gains at first, one per rate, at least two.
      channels: of the latent.
    """

    def __init__(
        self, parameters: ParameterFactory, logs: Sequence[float], channels: int
    ):
        start = np.asarray(logs, np.float64)[:, None] / SPEED
        shape = (len(logs), channels)
        self.stored_gain = parameters.constant(start, shape)
        self.stored_inverse = parameters.constant(-start, shape)

    @property
    def num_rates(self) -> int:
        return self.stored_gain.shape[0]

    def at(self, rate: Rate) -> StepGains:
        """Of one rate, f32[C], or of one per image, f32[B,1,1,C] for rates f32[B]."""
        both = self.stored_gain[...], self.stored_inverse[...]
        return StepGains(*(_between(stored, rate) for stored in both))

    def on_host(self, rate: float) -> StepGains:
        """Of one rate as f32[C] of NumPy: the same bits on every machine."""
        both = self.stored_gain[...], self.stored_inverse[...]
        return StepGains(*(_between_on_host(np.asarray(s), rate) for s in both))

    def set_ones(self, channels: slice) -> None:
        """Makes the gains of these channels 1 at every rate."""
        for stored in (self.stored_gain, self.stored_inverse):
            stored.set_value(stored[...].at[:, channels].set(0.0))

    def scale(self, log_factor: float) -> None:
        """Multiplies all gains."""
        for stored, sign in ((self.stored_gain, 1), (self.stored_inverse, -1)):
            stored.set_value(stored[...] + sign * log_factor / SPEED)


class SharedGains(nnx.Module):
    """One step of the quantisation per channel, times one per rate.

    EVC (Wang et al. 2023, section 3.2): what is multiplied before the quantisation is
    divided after it; rates in between are geometric means. Steps of channels are at
    least 1/2. The released code begins with steps of 1; these begin as rate-distortion
    theory has it.

    Args:
      logs, channels: as of `RateGains`.
    """

    def __init__(
        self, parameters: ParameterFactory, logs: Sequence[float], channels: int
    ):
        start = -np.asarray(logs, np.float64) / SPEED
        self.stored_step = parameters.constant(0.0, (channels,))
        self.stored_rate_step = parameters.constant(start, (len(logs),))

    @property
    def num_rates(self) -> int:
        return self.stored_rate_step.shape[0]

    def at(self, rate: Rate) -> StepGains:
        """As of `RateGains`."""
        of_channels = SPEED * lower_bound(self.stored_step[...], LEAST_STEP_LOG / SPEED)
        of_rate = _between(self.stored_rate_step[...][:, None], rate)
        step = of_channels + of_rate
        return StepGains(-step, step)

    def on_host(self, rate: float) -> StepGains:
        """As of `RateGains`."""
        stored = np.asarray(self.stored_step[...])
        of_channels = np.float32(SPEED) * np.maximum(
            stored, np.float32(LEAST_STEP_LOG / SPEED)
        )
        rates = np.asarray(self.stored_rate_step[...])[:, None]
        step = of_channels + _between_on_host(rates, rate)
        return StepGains(-step, step)

    def scale(self, log_factor: float) -> None:
        """Multiplies all gains."""
        stored = self.stored_rate_step
        stored.set_value(stored[...] - log_factor / SPEED)


def gain_logs(lmbdas: Sequence[float]) -> list[float]:
    """What gains begin as: roots of lambda over its geometric mean, as rate-distortion
    theory has it.
    """
    logs = np.log(lmbdas)
    return list(0.5 * (logs - logs.mean()))


def _between(stored: jax.Array, rate: Rate) -> jax.Array:
    """`stored`, f32[N,C], interpolated at `rate` in [0, N - 1], as logarithms."""
    rate = jnp.asarray(rate, jnp.float32)
    lower = jnp.clip(jnp.floor(rate), 0, stored.shape[0] - 2).astype(jnp.int32)
    share = (rate - lower)[..., None]
    logs = SPEED * ((1 - share) * stored[lower] + share * stored[lower + 1])
    return logs[:, None, None, :] if rate.ndim else logs


def _between_on_host(stored: np.ndarray, rate: float) -> np.ndarray:
    lower = min(int(rate), len(stored) - 2)
    share = np.float32(rate - lower)
    between = (np.float32(1) - share) * stored[lower] + share * stored[lower + 1]
    return np.float32(SPEED) * between
