"""EVC's transforms: residual blocks between halvings, depthwise blocks, no GDN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import TransformSpec

if TYPE_CHECKING:
    from flax import nnx

    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class EvcTransform(TransformSpec):
    """EVC (Wang et al. 2023, arXiv 2302.05071, figure 3), encoder and decoder apart.

    Analysis: three halving blocks with a depthwise block behind each, 3x3 s2 to the
    latent width. Synthesis: depthwise block and doubling block three times, depthwise
    block, 1x1 to 12 and depth to space.

    Attributes:
      encoder_channels: (c1, c2, c3) of the analysis, from the image inwards.
      decoder_channels: (c1, c2, c3) of the synthesis, also from the image inwards.
      latent_channels: width of y.
    """

    name: ClassVar[str] = "evc"
    label: ClassVar[str] = "evc"

    encoder_channels: tuple[int, int, int] = (192, 192, 192)
    decoder_channels: tuple[int, int, int] = (192, 192, 192)
    latent_channels: int = 192

    def __post_init__(self) -> None:
        widths = (*self.encoder_channels, *self.decoder_channels, self.latent_channels)
        require(min(widths) >= 1, "EVC widths are positive", widths)

    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, Network, depth_block, halving_block

        layers: list[nnx.Module] = []
        before = 3
        for width in self.encoder_channels:
            layers += [
                halving_block(parameters, before, width),
                depth_block(parameters, width),
            ]
            before = width
        last = Conv(parameters, before, self.latent_channels, 3, stride=2)
        return Network(*layers, last)

    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, DepthToSpace, Network, depth_block, doubling_block

        before = self.latent_channels
        layers: list[nnx.Module] = [depth_block(parameters, before)]
        for width in reversed(self.decoder_channels):
            layers += [
                doubling_block(parameters, before, width),
                depth_block(parameters, width),
            ]
            before = width
        return Network(*layers, Conv(parameters, before, 12, 1), DepthToSpace())
