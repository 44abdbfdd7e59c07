"""EVC's hyper-transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import HyperTransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class EvcHyperTransform(HyperTransformSpec):
    """Depthwise block, 3x3 s2, leaky, 3x3 s2; twice [depthwise block, 1x1 and depth to
    space], depthwise block (EVC's released code; Wang et al. 2023, figure 2).

    Attributes:
      channels: of z and of all layers but the last.
    """

    name: ClassVar[str] = "evc"
    label: ClassVar[str] = "evc"
    prior_filters: ClassVar[tuple[int, ...]] = (1, 1, 1)

    channels: int = 192

    def __post_init__(self) -> None:
        require(
            self.channels >= 1, "hyper-transform widths are positive", self.channels
        )

    @property
    def hyperlatent_channels(self) -> int:
        return self.channels

    def hyper_analysis(self, in_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, LeakyRelu, Network, wide_depth_block

        width = self.channels
        return Network(
            wide_depth_block(parameters, in_channels, width),
            Conv(parameters, width, width, 3, stride=2),
            LeakyRelu(0.01),
            Conv(parameters, width, width, 3, stride=2),
        )

    def hyper_synthesis(
        self, out_channels: int, parameters: ParameterFactory
    ) -> Network:
        from rdc.layers import Conv, DepthToSpace, Network, wide_depth_block

        width = self.channels
        layers = []
        for _ in range(2):
            layers += [
                wide_depth_block(parameters, width, width),
                Conv(parameters, width, 4 * width, 1),
                DepthToSpace(),
            ]
        return Network(*layers, wide_depth_block(parameters, width, out_channels))
