"""The entropy model of DCVC-UF-Intra: four passes over a 2x2 pattern."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from rdc.specs.base import require
from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.spatial_step import SpatialStep
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class QuadtreePrior(EntropyModelSpec):
    """Four passes, each with one of four groups of channels at every position.

    As in DCVC-UF-Intra (github.com/microsoft/DCVC, 2026): fusion of the hyper features
    to scales, means and a context of y's width; before each pass but the first a block
    of its own and a trunk that all share.

    Attributes:
      trunk_blocks: of the trunk, and of the fusion.
      adaptive_steps: every symbol has a quantisation step of its own, at least 1/2.
      scales_from: of the later passes, the `context` or the `hyper` features alone.
    """

    name: ClassVar[str] = "quadtree_prior"
    label: ClassVar[str] = "quadtree"
    gains_are_of_latents: ClassVar[bool] = True

    trunk_blocks: int = 3
    adaptive_steps: bool = False
    scales_from: Literal["context", "hyper"] = "context"

    def __post_init__(self) -> None:
        require(self.trunk_blocks >= 1, "trunk_blocks is at least 1", self.trunk_blocks)

    def check_latent_channels(self, latent_channels: int) -> None:
        require(
            latent_channels % 4 == 0,
            "a quadtree prior has four groups of channels: 4 divides their number",
            latent_channels,
            "change latent_channels",
        )

    def hyper_features(self, latent_channels: int) -> int:
        return latent_channels

    def fused_features(self, latent_channels: int) -> int:
        return self._parameters(latent_channels) + latent_channels

    def _parameters(self, latent_channels: int) -> int:
        """Channels of steps, scales and means."""
        return (2 + self.adaptive_steps) * latent_channels

    def fusion(self, latent_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Appended, Conv, Network, one_scale_block

        width, made = latent_channels, self._parameters(latent_channels)
        widths = [width, *[2 * width] * self.trunk_blocks]
        return Network(
            *(
                one_scale_block(parameters, before, after)
                for before, after in pairwise(widths)
            ),
            Conv(parameters, 2 * width, made, 1),
            Appended(Network(Conv(parameters, made, width, 1))),
        )

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[SpatialStep, ...]:
        from rdc.entropy_models.patterns import QUADTREE, Pattern
        from rdc.entropy_models.spatial_step import SpatialStep
        from rdc.layers import Conv, Network, one_scale_block

        width = latent_channels
        gives_scales = self.scales_from == "context"
        adaptors = [
            one_scale_block(parameters, 2 * width, 2 * width, adapted=True)
            for _ in QUADTREE[1:]
        ]
        trunk = Network(
            *(
                one_scale_block(parameters, 2 * width, 2 * width)
                for _ in range(self.trunk_blocks)
            ),
            Conv(parameters, 2 * width, (1 + gives_scales) * width, 1),
        )
        first, *later = (Pattern(groups) for groups in QUADTREE)
        made = self._parameters(width)
        steps = self.adaptive_steps
        return (
            SpatialStep(first, width, adaptive_steps=steps),
            *(
                SpatialStep(
                    pattern,
                    width,
                    adaptive_steps=steps,
                    context=(made, made + width),
                    network=Network(adaptor, trunk),
                    network_gives_scales=gives_scales,
                )
                for pattern, adaptor in zip(later, adaptors, strict=True)
            ),
        )
