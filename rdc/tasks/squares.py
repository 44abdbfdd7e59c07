"""Random squares of photographs: what task networks are trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from rdc.specs.tasks import TaskRecipe


def squares(
    images: Iterable[np.ndarray], recipe: TaskRecipe, random: np.random.Generator
) -> np.ndarray:
    """A random square of each image, scaled to `crop_px`, maybe mirrored.

    Returns:
      f32[B,crop_px,crop_px,3] in [0, 1].
    """
    each = [_square(image, recipe, random) for image in images]
    return np.stack(each).astype(np.float32) / 255


def _square(
    image: np.ndarray, recipe: TaskRecipe, random: np.random.Generator
) -> np.ndarray:
    height, width, _ = image.shape
    side = round(min(height, width) * random.uniform(recipe.least_crop, 1))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    square = Image.fromarray(image[top : top + side, left : left + side])
    size = (recipe.crop_px, recipe.crop_px)
    scaled = np.asarray(square.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    return scaled[:, ::-1] if random.integers(2) else scaled
