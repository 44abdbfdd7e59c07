"""Random squares of photographs: what task networks are trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from rdc.specs.base import require


def check_squares(crop_px: int, least_crop: float) -> None:
    """Raises `ConfigError` unless `random_square` can be asked for these."""
    require(crop_px >= 32, "crop_px is 32 or more", crop_px)
    require(0 < least_crop <= 1, "least_crop is a share, over 0", least_crop)


def random_square(
    image: np.ndarray, crop_px: int, least_crop: float, random: np.random.Generator
) -> np.ndarray:
    """A random square, scaled to `crop_px`, maybe mirrored: u8[crop_px,crop_px,3].

    Args:
      least_crop: share of the photograph's short side that the square has at least,
        before it is scaled; the largest has all of it.
    """
    height, width, _ = image.shape
    side = round(min(height, width) * random.uniform(least_crop, 1))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    square = Image.fromarray(image[top : top + side, left : left + side])
    scaled = np.asarray(
        square.resize((crop_px, crop_px), Image.Resampling.BILINEAR, reducing_gap=2)
    )
    return scaled[:, ::-1] if random.integers(2) else scaled


def squares(
    images: Iterable[np.ndarray],
    crop_px: int,
    least_crop: float,
    random: np.random.Generator,
) -> np.ndarray:
    """A `random_square` of each image, f32[B,crop_px,crop_px,3] in [0, 1]."""
    each = [random_square(image, crop_px, least_crop, random) for image in images]
    return np.stack(each).astype(np.float32) / 255
