"""SwinT transform: windowed attention at every scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.specs.base import require
from rdc.specs.components import TransformSpec

if TYPE_CHECKING:
    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class SwinTTransform(TransformSpec):
    """Swin transformer transforms (Zhu, Yang & Cohen 2022, section 3.1).

    Analysis: 2x2 embedding, then stages of Swin blocks at 1/2, 1/4, 1/8 and 1/16 with
    patch merging between. Synthesis mirrors it with patch splitting; its last layer
    is a Dense to 12 channels and depth-to-space.

    Attributes:
      widths: channels of the four stages; the last is the latent width.
      depths: Swin blocks per stage.
      window: side of the attention windows, even. Feature maps that it does not
        divide are padded inside the attention and masked.
      head_dim: channels per attention head; divides every width.
    """

    name: ClassVar[str] = "swint"
    label: ClassVar[str] = "swint"

    widths: tuple[int, int, int, int] = (128, 192, 256, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    window: int = 8
    head_dim: int = 32

    def __post_init__(self) -> None:
        check_swin(self.widths, self.depths, self.window, self.head_dim)

    @property
    def latent_channels(self) -> int:  # type: ignore[override]
        return self.widths[-1]

    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Network, PatchMerging, SwinStage

        layers: list = []
        previous = 3
        for i, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            # The embedding of raw pixels has no LayerNorm before it.
            layers.append(PatchMerging(parameters, previous, width, norm=i > 0))
            layers.append(
                SwinStage(parameters, width, depth, self.window, self.head_dim)
            )
            previous = width
        return Network(*layers)

    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Network, PatchSplitting, SwinStage

        layers: list = []
        targets = (*reversed(self.widths[:-1]), 3)
        for i in range(4):
            width, depth = self.widths[3 - i], self.depths[3 - i]
            layers.append(
                SwinStage(parameters, width, depth, self.window, self.head_dim)
            )
            layers.append(PatchSplitting(parameters, width, targets[i], norm=i < 3))
        return Network(*layers)


def check_swin(
    widths: tuple[int, ...], depths: tuple[int, ...], window: int, head_dim: int
) -> None:
    """Raises `ConfigError` for sizes that Swin stages cannot have."""
    require(head_dim >= 1, "head_dim is positive", head_dim)
    for width in widths:
        require(
            width >= 1 and width % head_dim == 0,
            f"head_dim ({head_dim}) divides every Swin width",
            width,
            "change the width or head_dim",
        )
    require(min(depths) >= 1, "depths are at least 1", depths)
    require(window >= 2 and window % 2 == 0, "window is even", window)
