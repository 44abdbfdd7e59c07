"""EVC's entropy model: two passes over a checkerboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rdc.specs.base import require
from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.spatial_step import SpatialStep
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class DualSpatialPrior(EntropyModelSpec):
    """Dual spatial prior of EVC (Wang et al. 2023, arXiv 2302.05071, section 3.1).

    A fusion network makes quantisation steps, scales and means of the hyper features.
    Half of the symbols is coded with these: one half of the channels where row plus
    column is even, the other half where it is odd. A second network makes scales and
    means of the rest from them and what was decoded. All widths follow from that of y,
    as in the released code: fusion N, 2N, 3N, prior 4N, 3N, 2N, 2N.

    Attributes:
      adaptive_steps: every symbol has a quantisation step of its own, at least 1/2.
      scales_from: of the second pass, the `context` or the `hyper` features alone (as
        in JPEG AI), so that only means wait for what was decoded.
    """

    name: ClassVar[str] = "dual_spatial_prior"
    label: ClassVar[str] = "dual"
    gains_are_of_latents: ClassVar[bool] = True
    gains_are_shared: ClassVar[bool] = True

    adaptive_steps: bool = True
    scales_from: Literal["context", "hyper"] = "context"

    def check_latent_channels(self, latent_channels: int) -> None:
        require(
            latent_channels % 2 == 0,
            "a dual spatial prior has two groups of channels: their number is even",
            latent_channels,
            "change latent_channels",
        )

    def hyper_features(self, latent_channels: int) -> int:
        return latent_channels

    def fused_features(self, latent_channels: int) -> int:
        return (3 if self.adaptive_steps else 2) * latent_channels

    def fusion(self, latent_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Network, wide_depth_block

        width = latent_channels
        return Network(
            wide_depth_block(parameters, width, 2 * width),
            wide_depth_block(parameters, 2 * width, self.fused_features(width)),
        )

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[SpatialStep, ...]:
        from rdc.entropy_models.patterns import CHECKERBOARD, Pattern
        from rdc.entropy_models.spatial_step import SpatialStep
        from rdc.layers import Network, wide_depth_block

        width, features = latent_channels, self.fused_features(latent_channels)
        gives_scales = self.scales_from == "context"
        network = Network(
            wide_depth_block(parameters, width + features, 3 * width),
            wide_depth_block(parameters, 3 * width, 2 * width),
            wide_depth_block(parameters, 2 * width, (1 + gives_scales) * width),
        )
        first, second = (Pattern(groups) for groups in CHECKERBOARD)
        steps = self.adaptive_steps
        return (
            SpatialStep(first, width, adaptive_steps=steps),
            SpatialStep(
                second,
                width,
                adaptive_steps=steps,
                context=(0, features),
                network=network,
                network_gives_scales=gives_scales,
            ),
        )
