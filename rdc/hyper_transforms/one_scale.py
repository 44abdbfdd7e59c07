"""The hyper-transform of DCVC-UF-Intra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import HyperTransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class OneScaleHyperTransform(HyperTransformSpec):
    """Block, twice [2x2 s2 and block]; twice [1x1, depth to space and block], block,
    of 1x1 and depthwise convolutions (github.com/microsoft/DCVC, 2026).

    Attributes:
      channels: of z and of all layers but the last.
    """

    name: ClassVar[str] = "one_scale"
    label: ClassVar[str] = "onescale"

    channels: int = 128

    def __post_init__(self) -> None:
        require(
            self.channels >= 1, "hyper-transform widths are positive", self.channels
        )

    @property
    def hyperlatent_channels(self) -> int:
        return self.channels

    def hyper_analysis(self, in_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, Network, SpaceToDepth, one_scale_block

        width = self.channels
        layers = [one_scale_block(parameters, in_channels, width)]
        for _ in range(2):
            layers += [
                Network(SpaceToDepth(), Conv(parameters, 4 * width, width, 1)),
                one_scale_block(parameters, width, width, outer=True),
            ]
        return Network(*layers)

    def hyper_synthesis(
        self, out_channels: int, parameters: ParameterFactory
    ) -> Network:
        from rdc.layers import Conv, DepthToSpace, Network, one_scale_block

        width = self.channels
        layers = []
        for _ in range(2):
            layers += [
                Network(Conv(parameters, width, 4 * width, 1), DepthToSpace()),
                one_scale_block(parameters, width, width, outer=True),
            ]
        return Network(*layers, one_scale_block(parameters, width, out_channels))
