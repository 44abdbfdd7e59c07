"""Segmentation: training on photographs with masks, and mean IoU of answers."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from rdc.specs.tasks import TaskName, TaskRecipe
from rdc.tasks.base import Scores, Task, resized
from rdc.tasks.deeplab import DeepLab, upsampled
from rdc.tasks.metrics import VOC_VOID, confusion_counts, divergence_nats, mean_iou
from rdc.tasks.voc import MaskedPhotographs

AUXILIARY_WEIGHT = 0.5  # torchvision's references/segmentation/train.py
_SCALES = (0.5, 2.0)  # least and largest factor of a photograph's sides


class Segmentation(Task):
    """For `rdc.tasks.deeplab.DeepLab`, whose answers are logits at H/8."""

    name: ClassVar[TaskName] = "segmentation"

    def batch(
        self,
        photographs: MaskedPhotographs,
        rows: np.ndarray,
        recipe: TaskRecipe,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        """What lies beyond a photograph is black and void."""
        crops = [
            _crop(photographs.image(i), photographs.mask(i), recipe.crop_px, random)
            for i in rows
        ]
        images, masks = zip(*crops, strict=True)
        return np.stack(images).astype(np.float32) / 255, np.stack(masks)

    def loss(self, answer: jax.Array, *known: jax.Array) -> jax.Array:
        """`pixel_entropy`; known: classes u8[B,H,W]."""
        return pixel_entropy(answer, *known)

    def network_loss(
        self, network: DeepLab, batch: tuple[jax.Array, ...], _key: jax.Array
    ) -> jax.Array:
        """`loss` of the answer, and by half that of the auxiliary classifier."""
        x, masks = batch
        logits, *auxiliary = network.with_auxiliary(x)
        others = sum(pixel_entropy(y, masks) for y in auxiliary)
        return pixel_entropy(logits, masks) + AUXILIARY_WEIGHT * others

    def mask(self, photographs: MaskedPhotographs, i: int) -> np.ndarray:
        """Classes u8[H,W] of the pixels of `image`."""
        mask, px = photographs.mask(i), self.answered_px
        if px is None:
            return mask
        return resized(mask, px / min(mask.shape), Image.Resampling.NEAREST)

    def scores(self, photographs: MaskedPhotographs) -> Scores:
        return _Scores(self, photographs)


class _Scores(Scores):
    """Mean IoU over the classes, of the pixels of all photographs together."""

    _task: Segmentation
    _photographs: MaskedPhotographs

    def __init__(self, task: Segmentation, photographs: MaskedPhotographs):
        super().__init__(task, photographs)
        self._confusion = np.zeros((), np.int64)

    def _compared(
        self, i: int, answer: np.ndarray, teacher_answer: np.ndarray
    ) -> dict[str, Any]:
        mask, classes = self._task.mask(self._photographs, i), answer.shape[-1]
        found, wanted = (segmented(y, *mask.shape) for y in (answer, teacher_answer))
        self._confusion = self._confusion + confusion_counts(found, mask, classes)
        flat = (y.reshape(-1, classes) for y in (teacher_answer, answer))
        return {
            "kl_nats": divergence_nats(*flat),
            "agreement": float(np.mean(found == wanted)),
        }

    def metric(self) -> float:
        return mean_iou(self._confusion)


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


def _crop(
    image: np.ndarray, mask: np.ndarray, side: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random square of both, scaled, maybe mirrored: u8[side,side(,3)]."""
    scale = random.uniform(*_SCALES)
    scaled = resized(image, scale)
    numbers = resized(mask, scale, Image.Resampling.NEAREST)
    height, width = numbers.shape
    left, top = (int(random.integers(max(n - side, 0) + 1)) for n in (width, height))
    box = (slice(top, top + side), slice(left, left + side))
    x, classes = scaled[box], numbers[box]
    missing = [(0, side - n) for n in classes.shape]
    x = np.pad(x, [*missing, (0, 0)])
    classes = np.pad(classes, missing, constant_values=VOC_VOID)
    return (x[:, ::-1], classes[:, ::-1]) if random.integers(2) else (x, classes)
