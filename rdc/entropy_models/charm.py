"""CHARM as Minnen & Johnston 2023 changed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rdc.entropy_models.charm_sizes import check_charm, widths_of_slices
from rdc.specs.base import added, require
from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class Charm(EntropyModelSpec):
    """CHARM of the study (arXiv 2311.12821, section 5), cheaper than that of 2020.

    Each slice sees the hyper features through a projection of its own, which all run
    in parallel, and the LRP is merged by concatenation and a 1x1 convolution. Kernels
    and widths are not published; the defaults are this project's reconstruction.

    Attributes:
      num_slices: slices of y, each a coding step.
      max_support_slices: decoded slices that a network sees at most, the first ones.
      slice_channels: widths of the two hidden layers.
      kernels: sides of the three kernels.
      projection_channels: width of the projected hyper features per slice.
      projection_kernel: side of the projection's kernel.
      slice_widths: channels of y per slice; () divides them equally.
      scales_from: of every slice, the `context` or the `hyper` features alone, so that
        only means wait for what was decoded.
    """

    name: ClassVar[str] = "charm"
    label: ClassVar[str] = "charm"

    num_slices: int = 10
    max_support_slices: int = 5
    slice_channels: tuple[int, int] = (224, 128)
    kernels: tuple[int, int, int] = (3, 3, 3)
    projection_channels: int = 64
    projection_kernel: int = 3
    slice_widths: tuple[int, ...] = added(())
    scales_from: Literal["context", "hyper"] = added("context")

    def __post_init__(self) -> None:
        check_charm(self)
        require(
            self.projection_channels >= 1,
            "projection_channels is positive",
            self.projection_channels,
        )
        require(
            self.projection_kernel >= 1 and self.projection_kernel % 2 == 1,
            "projection_kernel is odd",
            self.projection_kernel,
        )

    def check_latent_channels(self, latent_channels: int) -> None:
        check_charm(self, latent_channels)

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep, ...]:
        from rdc.entropy_models.gaussian_step import (
            GaussianStep,
            lrp_merge,
            slice_network,
        )
        from rdc.entropy_models.selections import channel_runs
        from rdc.layers import Conv, Network

        widths = widths_of_slices(self, latent_channels)
        features = self.hyper_features(latent_channels)
        projected = self.projection_channels
        of_context = self.scales_from == "context"
        steps = []
        for i, (width, selection) in enumerate(
            zip(widths, channel_runs(widths), strict=True)
        ):
            support = sum(widths[: min(i, self.max_support_slices)])
            inputs = projected + support
            sizes = (*self.slice_channels, width), self.kernels
            projection = Conv(parameters, features, projected, self.projection_kernel)
            steps.append(
                GaussianStep(
                    selection,
                    mean_features=(0, projected),
                    scale_features=(0, projected),
                    support_channels=support,
                    scale_sees_support=of_context,
                    projection=Network(projection),
                    mean=slice_network(parameters, inputs, *sizes),
                    scale=slice_network(
                        parameters, inputs if of_context else projected, *sizes
                    ),
                    lrp=slice_network(parameters, inputs + width, *sizes),
                    lrp_merge=lrp_merge(parameters, width),
                )
            )
        return tuple(steps)
