"""ELIC transform: strided convolutions, residual blocks, attention, no GDN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import TransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class ElicTransform(TransformSpec):
    """ELIC's transforms (He et al. 2022, arXiv 2203.10886, section 3.4).

    5x5 s2 c1, R blocks, 5x5 s2 c2, R blocks, attention at 1/4, 5x5 s2 c3, R blocks,
    5x5 s2 to the latent width, attention at 1/16. Synthesis mirrors it.

    Attributes:
      channels: (c1, c2, c3), even.
      latent_channels: width of y, even.
      residual_blocks: R, blocks after each of the first three convolutions.
    """

    name: ClassVar[str] = "elic"
    label: ClassVar[str] = "elic"

    channels: tuple[int, int, int] = (192, 192, 192)
    latent_channels: int = 320
    residual_blocks: int = 3

    def __post_init__(self) -> None:
        for width in (*self.channels, self.latent_channels):
            require(
                width >= 2 and width % 2 == 0,
                "ELIC widths are even (its blocks halve them)",
                width,
                "use an even width",
            )
        require(
            self.residual_blocks >= 1,
            "residual_blocks is at least 1",
            self.residual_blocks,
        )

    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import AttentionBlock, Conv, Network

        c1, c2, c3 = self.channels
        latent = self.latent_channels
        return Network(
            Conv(parameters, 3, c1, 5, stride=2),
            *self._blocks(parameters, c1),
            Conv(parameters, c1, c2, 5, stride=2),
            *self._blocks(parameters, c2),
            AttentionBlock(parameters, c2),
            Conv(parameters, c2, c3, 5, stride=2),
            *self._blocks(parameters, c3),
            Conv(parameters, c3, latent, 5, stride=2),
            AttentionBlock(parameters, latent),
        )

    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import AttentionBlock, Network, UpConv

        c1, c2, c3 = self.channels
        latent = self.latent_channels
        return Network(
            AttentionBlock(parameters, latent),
            UpConv(parameters, latent, c3, 5),
            *self._blocks(parameters, c3),
            UpConv(parameters, c3, c2, 5),
            AttentionBlock(parameters, c2),
            *self._blocks(parameters, c2),
            UpConv(parameters, c2, c1, 5),
            *self._blocks(parameters, c1),
            UpConv(parameters, c1, 3, 5),
        )

    def _blocks(self, parameters: ParameterFactory, channels: int) -> list:
        from rdc.layers import ResidualBlock

        return [
            ResidualBlock(parameters, channels) for _ in range(self.residual_blocks)
        ]
