"""What both forms of CHARM share: their slices, and the ranges of their sizes."""

from __future__ import annotations

from typing import Protocol

from rdc.specs.base import require


class CharmSizes(Protocol):
    """The fields that `Charm` and `Charm2020` share."""

    @property
    def num_slices(self) -> int: ...
    @property
    def max_support_slices(self) -> int: ...
    @property
    def slice_channels(self) -> tuple[int, int]: ...
    @property
    def kernels(self) -> tuple[int, int, int]: ...
    @property
    def slice_widths(self) -> tuple[int, ...]: ...


def widths_of_slices(sizes: CharmSizes, latent_channels: int) -> tuple[int, ...]:
    """Channels of y in each slice."""
    equal = (latent_channels // sizes.num_slices,) * sizes.num_slices
    return sizes.slice_widths or equal


def check_charm(sizes: CharmSizes, latent_channels: int | None = None) -> None:
    """Raises `ConfigError` for impossible sizes.

    Args:
      latent_channels: where known, what the slices must add up to.
    """
    require(sizes.num_slices >= 1, "num_slices is at least 1", sizes.num_slices)
    require(
        0 <= sizes.max_support_slices < sizes.num_slices,
        "max_support_slices is at least 0 and less than num_slices",
        sizes.max_support_slices,
    )
    require(
        min(sizes.slice_channels) >= 1,
        "slice_channels are positive",
        sizes.slice_channels,
    )
    require(
        all(k >= 1 and k % 2 == 1 for k in sizes.kernels),
        "kernels of slice networks are odd",
        sizes.kernels,
    )
    if sizes.slice_widths:
        require(
            len(sizes.slice_widths) == sizes.num_slices,
            f"slice_widths has num_slices ({sizes.num_slices}) entries",
            sizes.slice_widths,
            "set both, or leave slice_widths out for equal widths",
        )
        require(
            min(sizes.slice_widths) >= 1,
            "slice_widths are positive",
            sizes.slice_widths,
        )
    if latent_channels is None:
        return
    if sizes.slice_widths:
        require(
            sum(sizes.slice_widths) == latent_channels,
            f"slice_widths add up to the latent width ({latent_channels})",
            sizes.slice_widths,
        )
    else:
        require(
            latent_channels % sizes.num_slices == 0,
            f"num_slices ({sizes.num_slices}) divides the latent width",
            latent_channels,
            "change latent_channels or num_slices, or give slice_widths",
        )
