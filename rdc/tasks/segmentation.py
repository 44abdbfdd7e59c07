"""Segmentation: training on photographs with masks, and mean IoU of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from rdc.layers import ParameterFactory
from rdc.specs.base import require
from rdc.specs.tasks import EpochsRecipe, OptimizerSpec
from rdc.tasks.deeplab import DeepLab, DeepLabSpec, upsampled
from rdc.tasks.metrics import VOC_VOID, confusion_counts
from rdc.tasks.training import train_network
from rdc.tasks.voc import MaskedPhotographs

AUXILIARY_WEIGHT = 0.5  # torchvision's references/segmentation/train.py


_POLYNOMIAL = OptimizerSpec(decay="poly")


@dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(EpochsRecipe):
    """How a segmentation is trained; the polynomial decay is DeepLab's.

    Attributes:
      crop_px: side of the squares that a batch is made of; what lies beyond a
        photograph is black and void.
      scales: least and largest factor of a photograph's sides.
    """

    epochs: float = 50
    batch: int = 16
    optimizer: OptimizerSpec = _POLYNOMIAL
    crop_px: int = 513
    scales: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.crop_px >= 32, "crop_px is 32 or more", self.crop_px)
        least, largest = self.scales
        require(0 < least <= largest, "scales are positive and rise", self.scales)


def train(
    photographs: MaskedPhotographs,
    rows: np.ndarray,
    spec: DeepLabSpec,
    recipe: SegmentationRecipe,
    seed: int,
    checkpoints: Path,
) -> DeepLab:
    """A segmentation of the photographs `rows`; see `train_network`."""

    def batch_of(
        chosen: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        crops = [
            _crop(photographs.image(i), photographs.mask(i), recipe, random)
            for i in chosen
        ]
        images, masks = zip(*crops, strict=True)
        return np.stack(images).astype(np.float32) / 255, np.stack(masks)

    network = DeepLab(spec, ParameterFactory(seed))
    return train_network(
        network, pixel_loss, batch_of, photographs, rows, recipe, seed, checkpoints
    )


def pixel_loss(network: DeepLab, batch: Any, _key: jax.Array) -> jax.Array:
    """`pixel_entropy` of the answer, and by half that of the auxiliary classifier.

    Of a `DeepLab`, on (f32[B,H,W,3] in [0, 1], classes u8[B,H,W]).
    """
    x, masks = batch
    logits, *auxiliary = network.with_auxiliary(x)
    found = pixel_entropy(logits, masks)
    return found + AUXILIARY_WEIGHT * sum(pixel_entropy(y, masks) for y in auxiliary)


def pixel_entropy(logits: jax.Array, masks: jax.Array) -> jax.Array:
    """Mean cross-entropy of the pixels that are not void.

    Args:
      logits: f32[B,h,w,classes], brought to the masks' size.
      masks: classes u8[B,H,W].
    """
    counted = masks != VOC_VOID
    classes = jnp.where(counted, masks, 0).astype(jnp.int32)[..., None]
    shares = jax.nn.log_softmax(upsampled(logits, *masks.shape[1:]))
    each = -jnp.take_along_axis(shares, classes, -1)[..., 0]
    return jnp.sum(each * counted) / jnp.maximum(jnp.sum(counted), 1)


def segmented(logits: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """A network's answer f32[h,w,classes] -> the classes of pixels, u8[H,W]."""
    full = upsampled(jnp.asarray(logits)[None], height_px, width_px)[0]
    return np.asarray(full).argmax(-1).astype(np.uint8)


def confusion_of(
    answer: Callable[[np.ndarray], np.ndarray],
    photographs: MaskedPhotographs,
    rows: Iterable[int],
) -> np.ndarray:
    """Pixels by class of the truth (rows) and of the answer, for `mean_iou`.

    Args:
      answer: u8[H,W,3] -> f32[h,w,classes], as `rdc.tasks.networks.answering` gives
        it, or a split method from its bytes.
    """
    total = np.zeros((), np.int64)
    for i in rows:
        mask = photographs.mask(i)
        logits = answer(photographs.image(i))
        found = segmented(logits, *mask.shape)
        total = total + confusion_counts(found, mask, logits.shape[-1])
    return total


def _crop(
    image: np.ndarray,
    mask: np.ndarray,
    recipe: SegmentationRecipe,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A random square of both, scaled, maybe mirrored: u8[crop_px,crop_px(,3)]."""
    scale, side = random.uniform(*recipe.scales), recipe.crop_px
    size = tuple(max(round(n * scale), 1) for n in mask.shape[::-1])
    scaled = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    numbers = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    left, top = (int(random.integers(max(n - side, 0) + 1)) for n in size)
    box = (slice(top, top + side), slice(left, left + side))
    x, classes = np.asarray(scaled)[box], np.asarray(numbers)[box]
    missing = [(0, side - n) for n in classes.shape]
    x = np.pad(x, [*missing, (0, 0)])
    classes = np.pad(classes, missing, constant_values=VOC_VOID)
    return (x[:, ::-1], classes[:, ::-1]) if random.integers(2) else (x, classes)
