"""How large an image a codec takes: a stream of a few bytes may state any size."""

from __future__ import annotations

import math

from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.specs.components import ArchitectureSpec

# What one image may take to decode, beside the loaded model.
DEFAULT_MEMORY_BYTES = 2 << 30
# What a process takes for each byte that `rdc.complexity` counts. On the CPU, decoding
# 3072 x 4032 pixels with `light` (144 B/px counted) made the process 188 B/px larger,
# 1.31 times as much: convolutions need scratch memory, and pixels are copied. Measured
# in a fresh process as `resource.getrusage(resource.RUSAGE_SELF).ru_maxrss` before and
# after `codec.decode(data)`, with `codec = LearnedCodec.load(max_pixels=2**27)`.
PROCESS_FACTOR = 1.35


class PixelLimit:
    """The largest image, padding included.

    Args:
      decoder_peak_bytes_per_px: what `rdc.complexity` counts for the networks.
      max_pixels: the limit; None for as many as `DEFAULT_MEMORY_BYTES` can hold.
    """

    def __init__(
        self,
        architecture: ArchitectureSpec,
        decoder_peak_bytes_per_px: float,
        max_pixels: int | None = None,
    ):
        if max_pixels is not None and max_pixels < 1:
            raise ConfigError("codec.max_pixels is positive", max_pixels)
        self._architecture = architecture
        self._bytes_per_px = PROCESS_FACTOR * decoder_peak_bytes_per_px
        self._stated = max_pixels

    @property
    def pixels(self) -> int:
        """So many pixels at most."""
        if self._stated is not None:
            return self._stated
        return int(DEFAULT_MEMORY_BYTES / self._bytes_per_px)

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
        gibibytes = pixels * self._bytes_per_px / 2**30
        return (
            f"an image takes at most {DEFAULT_MEMORY_BYTES / 2**30:g} GiB to decode",
            f"{found}, about {gibibytes:.1f} GiB",
        )
