"""A coding step with the factorised prior: z, or y without a hyper-transform."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.layers import NO_GAINS, StepGains


class PriorStep:
    """All of z (or of y) at once; nothing is computed to code it.

    Its symbols are plain integers under one table per channel.

    Args:
      gains: of the rate; larger ones are finer steps of the same density.
    """

    tables = "prior"

    def __init__(
        self,
        prior: FactorizedPrior,
        latent: Literal["y", "z"],
        gains: StepGains = NO_GAINS,
    ):
        self.prior, self.latent, self.gains = prior, latent, gains

    def select(self, latent: jax.Array) -> jax.Array:
        return latent

    def place(self, part: jax.Array, y_hat: jax.Array | None) -> jax.Array:
        return part

    def parameters(self, features: jax.Array | None, y_hat: jax.Array | None) -> None:
        return None

    def symbols(self, value: jax.Array, parameters: None) -> jax.Array:
        return value * jnp.exp(self.gains.gain)

    def bits(self, symbols: jax.Array, parameters: None) -> jax.Array:
        return self.prior.bits(symbols, jnp.exp(-self.gains.gain))

    def values(self, symbols: jax.Array, parameters: None) -> jax.Array:
        return symbols * jnp.exp(self.gains.inverse)

    def refine(self, part: jax.Array, parameters: None) -> jax.Array:
        return part
