"""SwinT hyper-transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.components import HyperTransformSpec
from rdc.transforms.swint import check_swin

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class SwinTHyperTransform(HyperTransformSpec):
    """Swin transformer hyper-transform (Zhu, Yang & Cohen 2022, section 3.1).

    Attributes:
      widths: channels of the stages at 1/32 and 1/64; the last is z's.
      depths: Swin blocks of these stages, both ways.
      window: side of the attention windows, even.
      head_dim: channels per attention head; divides both widths.
    """

    name: ClassVar[str] = "swint"
    label: ClassVar[str] = "swin"

    widths: tuple[int, int] = (192, 192)
    depths: tuple[int, int] = (5, 1)
    window: int = 4
    head_dim: int = 32

    def __post_init__(self) -> None:
        check_swin(self.widths, self.depths, self.window, self.head_dim)

    @property
    def hyperlatent_channels(self) -> int:
        return self.widths[-1]

    def hyper_analysis(self, in_channels: int, parameters: ParameterFactory) -> Network:
        from rdc.layers import Network, PatchMerging

        w1, w2 = self.widths
        return Network(
            # A norm over y would hide its scale, which z is to transmit.
            PatchMerging(parameters, in_channels, w1, norm=False),
            self._stage(parameters, 0),
            PatchMerging(parameters, w1, w2),
            self._stage(parameters, 1),
        )

    def hyper_synthesis(
        self, out_channels: int, parameters: ParameterFactory
    ) -> Network:
        from rdc.layers import Network, PatchSplitting

        w1, w2 = self.widths
        return Network(
            self._stage(parameters, 1),
            PatchSplitting(parameters, w2, w1),
            self._stage(parameters, 0),
            PatchSplitting(parameters, w1, out_channels),
        )

    def _stage(self, parameters: ParameterFactory, i: int) -> Network:
        from rdc.layers import SwinStage

        return SwinStage(
            parameters, self.widths[i], self.depths[i], self.window, self.head_dim
        )
