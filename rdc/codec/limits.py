"""How large an image a codec takes: a stream of a few bytes may state any size."""

from __future__ import annotations

import math

from rdc.codec.tiles import LARGEST_CANVAS_PX
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.specs.components import ArchitectureSpec

# What one image may take to decode, beside the loaded model.
DEFAULT_MEMORY_BYTES = 2 << 30
# What a process takes for each byte that `rdc.complexity` counts, pixels and latents
# included, where networks see the whole image; and of a tile, without them. Measured on
# the CPU.
WHOLE_FACTOR = 1.35
TILE_FACTOR = 1.7
_COMPILER_BYTES = 1 << 27
# Of a tiled image, whatever the model: pixels in and out; of each latent its mean in
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
        self._peak_bytes = decoder_peak_bytes_per_px
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
        whole = int(DEFAULT_MEMORY_BYTES / (WHOLE_FACTOR * self._peak_bytes))
        if whole < LARGEST_CANVAS_PX or not self._is_tiled:
            return whole
        return int((DEFAULT_MEMORY_BYTES - self._tile_bytes) / self._host_bytes)

    @property
    def _tile_bytes(self) -> float:
        return TILE_FACTOR * self._peak_bytes * LARGEST_CANVAS_PX + _COMPILER_BYTES

    def _bytes(self, pixels: int) -> float:
        if self._is_tiled and pixels > LARGEST_CANVAS_PX:
            return self._tile_bytes + self._host_bytes * pixels
        return WHOLE_FACTOR * self._peak_bytes * pixels

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
