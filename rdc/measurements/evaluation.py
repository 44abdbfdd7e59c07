"""Rate and distortion of a codec on images, from real bytes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from rdc.codec.base import Codec
from rdc.measurements import metrics
from rdc.measurements.rows import ImageMeasurement
from rdc.specs.coding import OperatingPoint

T = TypeVar("T")
_log = logging.getLogger(__name__)


class LatentMismatchError(Exception):
    """A bitstream decoded to other latents than were encoded: a defect."""


def evaluate(
    codec: Codec,
    images: Iterable[tuple[str, np.ndarray]],
    points: Sequence[OperatingPoint] | None = None,
    *,
    effort: int = 0,
) -> list[ImageMeasurement]:
    """Encodes and decodes every image at every operating point.

    Args:
      codec: learned or classical: the same is done with both.
      images: names and pixels, u8[H,W,3].
      points: some of `codec.operating_points`; None: all.
      effort: how long the encoder searches.

    Raises:
      DataError: an image that this codec does not take.
      LatentMismatchError: some bytes decoded to other latents.
    """
    points = codec.operating_points if points is None else points
    compiled: set[tuple[int, ...]] = set()
    rows = []
    for name, x in images:
        for point in points:
            # The first call of a size may compile: the same for every search.
            if x.shape not in compiled:
                codec.decode(codec.encode(x, point.rate, min(effort, 1)))
                compiled.add(x.shape)
            row = measured(codec, name, x, point, effort)
            _log.info("%s, rate %d: %.4f bpp", name, row.rate, row.bpp_coded)
            rows.append(row)
    return rows


def measured(
    codec: Codec, name: str, x: np.ndarray, point: OperatingPoint, effort: int = 0
) -> ImageMeasurement:
    """One image, u8[H,W,3], at one operating point; raises as `evaluate`."""
    encoded, encode_ms = _timed(lambda: codec.encoded(x, point.rate, effort))
    decoded, decode_ms = _timed(lambda: codec.decoded(encoded.data))
    if not _equal(encoded.y_hat, decoded.y_hat):
        raise LatentMismatchError(
            f"{name}: the decoder's y_hat differs from the encoder's"
        )
    height, width = x.shape[:2]
    pixels = height * width
    bits = encoded.bits_estimated
    return ImageMeasurement(
        image=name,
        rate=point.rate,
        setting=point.setting,
        height_px=height,
        width_px=width,
        bytes=len(encoded.data),
        bpp_estimated=None if bits is None else bits / pixels,
        bpp_coded=8 * len(encoded.data) / pixels,
        encode_ms=encode_ms,
        decode_ms=decode_ms,
        metrics=metrics.measure(x, decoded.x_hat),
    )


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    """What `run` gives, and the milliseconds that it took."""
    started = time.perf_counter()
    result = run()
    return result, (time.perf_counter() - started) * 1000


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Also where a codec has no latents."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)
