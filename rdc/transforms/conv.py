"""Conv transform: four strided convolutions with GDN between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rdc.specs.base import require
from rdc.specs.components import TransformSpec

if TYPE_CHECKING:
    from flax import nnx

    from rdc.layers import Network, ParameterFactory


@dataclass(frozen=True, kw_only=True)
class ConvTransform(TransformSpec):
    """4 x (kernel x kernel, stride 2), GDN after the first three.

    Balle et al. 2018 (arXiv 1802.01436), figure 4. Synthesis mirrors the analysis
    with inverse GDN.

    Attributes:
      channels: widths after the first three analysis layers.
      latent_channels: width of y.
      kernel: side of every kernel, odd.
      gdn_form: `simplified` divides by beta + gamma |x| (the default of TensorFlow
        Compression); `original` by sqrt(beta + gamma x^2) (Balle et al. 2016).
    """

    name: ClassVar[str] = "conv"
    label: ClassVar[str] = "conv"

    channels: tuple[int, int, int] = (192, 192, 192)
    latent_channels: int = 320
    kernel: int = 5
    gdn_form: Literal["simplified", "original"] = "simplified"

    def __post_init__(self) -> None:
        require(min(self.channels) >= 1, "channels are positive", self.channels)
        require(
            self.latent_channels >= 1,
            "latent_channels is positive",
            self.latent_channels,
        )
        require(
            self.kernel >= 3 and self.kernel % 2 == 1,
            "kernel is odd and at least 3",
            self.kernel,
        )

    def analysis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Conv, Gdn, Network

        widths = (3, *self.channels, self.latent_channels)
        layers: list[nnx.Module] = []
        for i in range(4):
            layers.append(
                Conv(parameters, widths[i], widths[i + 1], self.kernel, stride=2)
            )
            if i < 3:
                layers.append(Gdn(parameters, widths[i + 1], form=self.gdn_form))
        return Network(*layers)

    def synthesis_transform(self, parameters: ParameterFactory) -> Network:
        from rdc.layers import Gdn, Network, UpConv

        widths = (self.latent_channels, *reversed(self.channels), 3)
        layers: list[nnx.Module] = []
        for i in range(4):
            layers.append(UpConv(parameters, widths[i], widths[i + 1], self.kernel))
            if i < 3:
                layers.append(
                    Gdn(parameters, widths[i + 1], inverse=True, form=self.gdn_form)
                )
        return Network(*layers)
