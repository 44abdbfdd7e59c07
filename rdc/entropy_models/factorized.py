"""Factorised prior: y is coded without side information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class Factorized(EntropyModelSpec):
    """One learned density per channel of y (Balle et al. 2018, appendix 6.1)."""

    name: ClassVar[str] = "factorized"
    label: ClassVar[str] = "factorized"
    uses_hyper_transform: ClassVar[bool] = False

    def hyper_features(self, latent_channels: int) -> int:
        return 0

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep, ...]:
        return ()
