"""CHARM as published in 2020: channel-wise autoregression over slices of y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rdc.entropy_models.charm_sizes import check_charm, widths_of_slices
from rdc.specs.base import added
from rdc.specs.components import EntropyModelSpec

if TYPE_CHECKING:
    from rdc.entropy_models.gaussian_step import GaussianStep
    from rdc.layers import ParameterFactory


@dataclass(frozen=True, kw_only=True)
class Charm2020(EntropyModelSpec):
    """Minnen & Singh 2020 (arXiv 2007.08739), section 3 and figure 2.

    Every slice has networks for its mean, its scale and its latent residual
    prediction (LRP, 0.5 tanh, added). Their support is the hyper features and the
    *first* `max_support_slices` decoded slices.

    The CHARM of Zhu, Yang & Cohen 2022 is this one with slice_features="own",
    widening=True and lrp=False (`zhu2022_swint_charm`).

    Attributes:
      num_slices: slices of y, each a coding step.
      max_support_slices: decoded slices that a network sees at most.
      slice_channels: widths of the two hidden layers.
      kernels: sides of the three kernels.
      slice_widths: channels of y per slice; () divides them equally.
      slice_features: `all`: every network sees the hyper features of all channels (of
        means, or of scales); `own`: those of its own slice.
      widening: hidden layers of slice i are max(1, (i + 2) / 3) times as wide, rounded
        down, for more support reaches them.
      lrp: whether there is a latent residual prediction.
      scales_from: as of `charm`.
    """

    name: ClassVar[str] = "charm2020"
    label: ClassVar[str] = "charm2020"

    num_slices: int = 10
    max_support_slices: int = 5
    slice_channels: tuple[int, int] = (224, 128)
    kernels: tuple[int, int, int] = (5, 5, 3)
    slice_widths: tuple[int, ...] = added(())
    slice_features: Literal["all", "own"] = added("all")
    widening: bool = added(False)
    lrp: bool = added(True)
    scales_from: Literal["context", "hyper"] = added("context")

    def __post_init__(self) -> None:
        check_charm(self)

    def check_latent_channels(self, latent_channels: int) -> None:
        check_charm(self, latent_channels)

    def coding_steps(
        self, latent_channels: int, parameters: ParameterFactory
    ) -> tuple[GaussianStep, ...]:
        from rdc.entropy_models.gaussian_step import GaussianStep, slice_network
        from rdc.entropy_models.selections import channel_runs

        widths = widths_of_slices(self, latent_channels)
        steps = []
        for i, (width, selection) in enumerate(
            zip(widths, channel_runs(widths), strict=True)
        ):
            first, end = 0, latent_channels
            if self.slice_features == "own":
                first, end = selection.first, selection.end
            support = sum(widths[: min(i, self.max_support_slices)])
            inputs = end - first + support
            of_context = self.scales_from == "context"
            sizes = (*self._hidden_channels(i), width), self.kernels
            steps.append(
                GaussianStep(
                    selection,
                    mean_features=(first, end),
                    scale_features=(latent_channels + first, latent_channels + end),
                    support_channels=support,
                    scale_sees_support=of_context,
                    mean=slice_network(parameters, inputs, *sizes),
                    scale=slice_network(
                        parameters, inputs if of_context else end - first, *sizes
                    ),
                    lrp=slice_network(parameters, inputs + width, *sizes)
                    if self.lrp
                    else None,
                )
            )
        return tuple(steps)

    def _hidden_channels(self, i: int) -> tuple[int, int]:
        """Of slice i."""
        first, second = self.slice_channels
        if not self.widening:
            return first, second
        return max(first, first * (i + 2) // 3), max(second, second * (i + 2) // 3)
