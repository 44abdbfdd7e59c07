"""Conv hyper-transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import HyperTransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class ConvHyperTransform(HyperTransformSpec):
    """Analysis 3x3, 5x5 s2, 5x5 s2; synthesis 5x5 up, 5x5 up, 3x3; ReLU between.

    Minnen et al. 2018 (arXiv 1809.02736), table 1; widths differ between papers.

    Attributes:
      analysis_channels: widths of the three analysis layers; the last is z's.
      synthesis_channels: widths of the two upsampling layers.
      synthesis_branches: 2 gives means and scales a hyper-synthesis each, every one
        with these widths (Minnen & Singh 2020); 1 shares one network.
    """

    name: ClassVar[str] = "conv"
    label: ClassVar[str] = "conv"

    analysis_channels: tuple[int, int, int] = (320, 256, 192)
    synthesis_channels: tuple[int, int] = (192, 192)
    synthesis_branches: int = 1

    def __post_init__(self) -> None:
        widths = (*self.analysis_channels, *self.synthesis_channels)
        require(min(widths) >= 1, "hyper-transform widths are positive", widths)
        require(
            self.synthesis_branches in (1, 2),
            "synthesis_branches is 1 or 2",
            self.synthesis_branches,
        )

    @property
    def hyperlatent_channels(self) -> int:
        return self.analysis_channels[-1]

    def hyper_analysis(self, in_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, Network, Relu

        c1, c2, c3 = self.analysis_channels
        return Network(
            Conv(parameters, in_channels, c1, 3),
            Relu(),
            Conv(parameters, c1, c2, 5, stride=2),
            Relu(),
            Conv(parameters, c2, c3, 5, stride=2),
        )

    def hyper_synthesis(
        self, out_channels: int, parameters: ParameterFactory
    ) -> Network:
        from rdc.layers import Branches, Conv, Network, Relu, UpConv

        require(
            out_channels % self.synthesis_branches == 0,
            "synthesis_branches divides the hyper-synthesis's output channels",
            out_channels,
        )
        c1, c2 = self.synthesis_channels
        branches = [
            Network(
                UpConv(parameters, self.hyperlatent_channels, c1, 5),
                Relu(),
                UpConv(parameters, c1, c2, 5),
                Relu(),
                Conv(parameters, c2, out_channels // self.synthesis_branches, 3),
            )
            for _ in range(self.synthesis_branches)
        ]
        return branches[0] if len(branches) == 1 else Network(Branches(*branches))
