"""Batches of random squares of photographs, a step's the same whenever asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from rdc.specs.tasks import TaskRecipe
from rdc.tasks.labelled import LabelledPhotographs

Labelled = tuple[np.ndarray, np.ndarray]  # f32[B,H,W,3] in [0, 1], labels i32[B]


def labelled_batches(
    photographs: LabelledPhotographs, rows: np.ndarray, recipe: TaskRecipe, seed: int
) -> Callable[[int], Labelled]:
    """Step to its batch of the photographs `rows`, drawn with replacement."""

    def batch_of(step: int) -> Labelled:
        random = np.random.default_rng([seed, step])
        chosen = random.choice(rows, recipe.batch)
        x = _batch([photographs.image(i) for i in chosen], recipe, random)
        return x, photographs.labels[chosen]

    return batch_of


def _batch(
    images: Sequence[np.ndarray], recipe: TaskRecipe, random: np.random.Generator
) -> np.ndarray:
    squares = [_square(image, recipe, random) for image in images]
    return np.stack(squares).astype(np.float32) / 255


def _square(
    image: np.ndarray, recipe: TaskRecipe, random: np.random.Generator
) -> np.ndarray:
    """A random square, scaled to `crop_px`, maybe mirrored: u8[crop_px,crop_px,3]."""
    height, width, _ = image.shape
    side = round(min(height, width) * random.uniform(recipe.least_crop, 1))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    square = Image.fromarray(image[top : top + side, left : left + side])
    size = (recipe.crop_px, recipe.crop_px)
    scaled = np.asarray(square.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    return scaled[:, ::-1] if random.integers(2) else scaled
