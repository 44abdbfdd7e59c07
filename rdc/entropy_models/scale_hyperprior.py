"""Scale hyperprior: zero-mean Gaussians whose scales are side information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class ScaleHyperprior(EntropyModelSpec):
    """Balle et al. 2018 (arXiv 1802.01436), section 3: hyper-analysis of |y|."""

    name: ClassVar[str] = "scale_hyperprior"
    label: ClassVar[str] = "scale"
    hyper_input_is_magnitude: ClassVar[bool] = True

    def hyper_features(self, latent_channels: int) -> int:
        return latent_channels

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep, ...]:
        from rdc.entropy_models.gaussian_step import GaussianStep
        from rdc.entropy_models.selections import Channels

        every = Channels(0, latent_channels)
        return (GaussianStep(every, scale_features=(0, latent_channels)),)
