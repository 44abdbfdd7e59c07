"""How large an image a codec takes: a stream of a few bytes may state any size."""

from __future__ import annotations

import math

from rdc.codec.tiles import LARGEST_CANVAS_PX
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.specs.components import ArchitectureSpec

# What one image may take to decode, beside the loaded model.
DEFAULT_MEMORY_BYTES = 2 << 30
# Of the tile at work, or of the whole image: what a process takes for each byte that
# `rdc.complexity` counts, and what XLA takes to compile. Measured on the CPU.
PROCESS_FACTOR = 1.7
_COMPILER_BYTES = 1 << 27
# Of the whole image, whatever the model: pixels in and out; of each latent its mean in
# float64, two indices, its symbol and its value; with several coding steps also y_hat
# so far in float64, twice, and the hyper features.
_HOST_BYTES_PER_PX = 8.0
_HOST_BYTES_PER_LATENT = 21.0
_BYTES_PER_LATENT_BETWEEN_STEPS = 44.0


class PixelLimit:
    """The largest image, padding included.

    Args:
      decoder_peak_bytes_per_px: what `rdc.complexity` counts for the networks.
      max_pixels: the limit; None for as many as `DEFAULT_MEMORY_BYTES` can hold.
      is_tiled: networks see a tile at a time (`rdc.codec.tiles`).
      num_steps: coding steps of y.
    """

    def __init__(
        self,
        architecture: ArchitectureSpec,
        decoder_peak_bytes_per_px: float,
        max_pixels: int | None = None,
        is_tiled: bool = False,
        num_steps: int = 1,
    ):
        if max_pixels is not None and max_pixels < 1:
            raise ConfigError("codec.max_pixels is positive", max_pixels)
        self._architecture = architecture
        self._network_bytes = PROCESS_FACTOR * decoder_peak_bytes_per_px
        transform = architecture.transform
        latents_per_px = transform.latent_channels / transform.stride**2
        per_latent = _HOST_BYTES_PER_LATENT
        if num_steps > 1:
            per_latent += _BYTES_PER_LATENT_BETWEEN_STEPS
        self._host_bytes = _HOST_BYTES_PER_PX + per_latent * latents_per_px
        self._stated, self._is_tiled = max_pixels, is_tiled

    @property
    def pixels(self) -> int:
        """So many pixels at most."""
        if self._stated is not None:
            return self._stated
        budget = DEFAULT_MEMORY_BYTES - _COMPILER_BYTES
        whole = int(budget / (self._network_bytes + self._host_bytes))
        if whole < LARGEST_CANVAS_PX or not self._is_tiled:
            return whole
        tile = self._network_bytes * LARGEST_CANVAS_PX
        return int((budget - tile) / self._host_bytes)

    def _bytes(self, pixels: int) -> float:
        at_once = min(pixels, LARGEST_CANVAS_PX) if self._is_tiled else pixels
        networks = self._network_bytes * at_once + _COMPILER_BYTES
        return networks + self._host_bytes * pixels

    def check_image(self, height_px: int, width_px: int) -> None:
        """Raises `DataError` for an image that is too large to encode."""
        if fault := self._fault(height_px, width_px):
            raise DataError(
                *fault, "allow more with the setting max_pixels, where memory does"
            )

    def check_stream(self, height_px: int, width_px: int) -> None:
        """Raises `BitstreamError` for a stream that is too large to decode."""
        if fault := self._fault(height_px, width_px):
            raise BitstreamError(
                *fault, "allow more with the setting max_pixels, if you trust the file"
            )

    def _fault(self, height_px: int, width_px: int) -> tuple[str, str] | None:
        pixels = math.prod(self._architecture.padded_px(height_px, width_px))
        if pixels <= self.pixels:
            return None
        found = f"{width_px} x {height_px}, with padding {pixels} pixels"
        if self._stated is not None:
            return f"images have at most {self._stated} pixels with padding", found
        gibibytes = self._bytes(pixels) / 2**30
        return (
            f"an image takes at most {DEFAULT_MEMORY_BYTES / 2**30:g} GiB to decode",
            f"{found}, about {gibibytes:.1f} GiB",
        )
