"""A coding step with the factorised prior: z, or y without a hyper-transform."""

from __future__ import annotations

from typing import Literal

import jax

from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.ops.quantization import ste_round


class PriorStep:
    """All of z (or of y) at once; nothing is computed to code it.

    Its symbols are plain integers under one table per channel.

    Args:
      step: of the quantisation, in units of the prior's density; f32[C], or
        f32[B,1,1,C] for images of different rates.
    """

    tables = "prior"

    def __init__(
        self,
        prior: FactorizedPrior,
        latent: Literal["y", "z"],
        step: float | jax.Array = 1.0,
    ):
        self.prior, self.latent, self.step = prior, latent, step

    def select(self, latent: jax.Array) -> jax.Array:
        return latent

    def place(self, part: jax.Array, y_hat: jax.Array | None) -> jax.Array:
        return part

    def parameters(self, features: jax.Array | None, y_hat: jax.Array | None) -> None:
        return None

    def bits(self, value: jax.Array, parameters: None) -> jax.Array:
        return self.prior.bits(value, self.step)

    def quantize(self, value: jax.Array, parameters: None) -> jax.Array:
        return ste_round(value)

    def refine(self, part: jax.Array, parameters: None) -> jax.Array:
        return part
