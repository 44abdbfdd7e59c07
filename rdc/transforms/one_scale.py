"""The transform of DCVC-UF-Intra: all its work at one eighth of the resolution."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import TransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory

PIXELS = 3 * 8 * 8  # samples of a position at one eighth


@dataclass(frozen=True, kw_only=True)
class OneScaleTransform(TransformSpec):
    """DCVC-UF-Intra (github.com/microsoft/DCVC, 2026).

    Analysis: space to depth by 8, blocks of 1x1 and depthwise convolutions, 3x3 s2 to
    the latent width. Synthesis: 1x1 and depth to space, blocks, depth to space by 8.
    Its scales per rate *within* encoder and decoder are left out: those of y remain.

    Attributes:
      channels: of the blocks.
      latent_channels: width of y.
      encoder_blocks, decoder_blocks: how many; of the decoder, one more is as wide as
        the samples.
    """

    name: ClassVar[str] = "one_scale"
    label: ClassVar[str] = "onescale"

    channels: int = 384
    latent_channels: int = 256
    encoder_blocks: int = 7
    decoder_blocks: int = 13

    def __post_init__(self) -> None:
        sizes = (self.channels, self.latent_channels)
        require(min(sizes) >= 1, "one_scale widths are positive", sizes)
        blocks = (self.encoder_blocks, self.decoder_blocks)
        require(min(blocks) >= 1, "one_scale has blocks on both sides", blocks)

    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, Network, SpaceToDepth, one_scale_block

        widths = [PIXELS, *[self.channels] * self.encoder_blocks]
        return Network(
            SpaceToDepth(3),
            *(
                one_scale_block(parameters, before, width)
                for before, width in pairwise(widths)
            ),
            Conv(parameters, self.channels, self.latent_channels, 3, stride=2),
        )

    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, DepthToSpace, Network, one_scale_block

        width = self.channels
        return Network(
            Conv(parameters, self.latent_channels, 4 * width, 1),
            DepthToSpace(),
            one_scale_block(parameters, width, width, outer=True),
            *(
                one_scale_block(parameters, width, width)
                for _ in range(self.decoder_blocks - 1)
            ),
            one_scale_block(parameters, width, PIXELS),
            DepthToSpace(3),
        )
