"""Mean-scale hyperprior: Gaussians whose means and scales are side information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class MeanScaleHyperprior(EntropyModelSpec):
    """Minnen et al. 2018 (arXiv 1809.02736), without its spatial context model.

    The hyper-synthesis gives the means, then the scale indices.
    """

    name: ClassVar[str] = "mean_scale_hyperprior"
    label: ClassVar[str] = "hyperprior"

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep, ...]:
        from rdc.entropy_models.gaussian_step import GaussianStep
        from rdc.entropy_models.selections import Channels

        return (
            GaussianStep(
                Channels(0, latent_channels),
                mean_features=(0, latent_channels),
                scale_features=(latent_channels, 2 * latent_channels),
            ),
        )
