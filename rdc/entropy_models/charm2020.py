"""CHARM as published in 2020: channel-wise autoregression over slices of y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rdc.entropy_models.charm_sizes import check_charm
from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.slices import SliceModel
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class Charm2020(EntropyModelSpec):
    """Minnen & Singh 2020 (arXiv 2007.08739), section 3 and figure 2.

    Every slice has networks for its mean, its scale and its latent residual
    prediction (LRP, 0.5 tanh, added). Their support is the hyper features and the
    *first* `max_support_slices` decoded slices.

    Attributes:
      num_slices: slices of equal width; divides the latent width.
      max_support_slices: decoded slices that a network sees at most.
      slice_channels: widths of the two hidden layers.
      kernels: sides of the three kernels.
    """

    name: ClassVar[str] = "charm2020"
    label: ClassVar[str] = "charm2020"

    num_slices: int = 10
    max_support_slices: int = 5
    slice_channels: tuple[int, int] = (224, 128)
    kernels: tuple[int, int, int] = (5, 5, 3)

    def __post_init__(self) -> None:
        check_charm(self)

    def check_latent_channels(self, latent_channels: int) -> None:
        check_charm(self, latent_channels)

    def slices(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[SliceModel, ...]:
        from rdc.entropy_models.slices import SliceModel, slice_network

        width = latent_channels // self.num_slices
        models = []
        for i in range(self.num_slices):
            inputs = latent_channels + min(i, self.max_support_slices) * width
            sizes = (*self.slice_channels, width), self.kernels
            models.append(
                SliceModel(
                    width,
                    mean_features=(0, latent_channels),
                    scale_features=(latent_channels, 2 * latent_channels),
                    max_support_slices=self.max_support_slices,
                    mean=slice_network(parameters, inputs, *sizes),
                    scale=slice_network(parameters, inputs, *sizes),
                    lrp=slice_network(parameters, inputs + width, *sizes),
                )
            )
        return tuple(models)
