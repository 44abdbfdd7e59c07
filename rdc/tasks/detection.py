"""Detection: training on photographs with boxes, and the boxes of an answer."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from rdc.measurements.rows import TaskAnswer
from rdc.specs.task_networks import RetinaNetSpec
from rdc.specs.tasks import TaskName, TaskRecipe
from rdc.tasks.base import Scores, Task, resized
from rdc.tasks.box_map import Detections, box_map
from rdc.tasks.boxes import (
    BACKGROUND,
    NOT_COUNTED,
    anchors_of,
    moved,
    targets,
    without_doubles,
)
from rdc.tasks.coco import BoxedPhotographs

# Of the focal loss, Lin et al. 2017; smooth L1 turns at the value of Detectron2.
_ALPHA, _GAMMA = 0.25, 2.0
_SMOOTH_L1_BETA = 0.1
# torchvision's, as all that follows.
_LEAST_SCORE = 0.05
_MOST_OF_A_LEVEL = 1000
_MOST_IOU = 0.5
_MOST_OF_A_PHOTOGRAPH = 300
_LONGEST = 5 / 3  # side of a photograph that is scaled, of the shorter one: 1333 of 800


class Detection(Task):
    """For `rdc.tasks.retinanet.RetinaNet`; see there what its answers are."""

    name: ClassVar[TaskName] = "detection"
    spec: RetinaNetSpec

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        """The shorter side has `answered_px`, or the longer one five thirds of it."""
        least, most = sorted(image.shape[:2])
        assert self.answered_px is not None
        return resized(image, self.answered_px * min(1 / least, _LONGEST / most))

    def batch(
        self,
        photographs: BoxedPhotographs,
        rows: np.ndarray,
        recipe: TaskRecipe,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        """A photograph's longer side fills its square, the rest is black."""
        anchors = _anchors_of_square(self.spec, recipe.crop_px)
        images, labels, offsets = [], [], []
        for i in rows:
            boxes, classes = photographs.boxes(i)
            mirrored = bool(random.integers(2))
            image, boxes = _square(
                photographs.image(i), boxes, recipe.crop_px, mirrored
            )
            found = targets(anchors, boxes, classes)
            images.append(image)
            labels.append(found[0])
            offsets.append(found[1])
        x = np.stack(images).astype(np.float32) / 255
        return x, np.stack(labels), np.stack(offsets)

    def loss(self, answer: jax.Array, *known: jax.Array) -> jax.Array:
        """`answer_loss`."""
        return answer_loss(answer, *known)

    def scores(self, photographs: BoxedPhotographs) -> Scores:
        return _Scores(self, photographs)


class _Scores(Scores):
    """COCO's box mAP of all photographs together."""

    _photographs: BoxedPhotographs

    def __init__(self, task: Detection, photographs: BoxedPhotographs):
        super().__init__(task, photographs)
        self._found: dict[int, Detections] = {}

    def answered(
        self, i: int, image: np.ndarray, answer: np.ndarray, *others: Any
    ) -> TaskAnswer:
        found = detected(answer, self._task.spec, *image.shape[:2])
        height, width = self._photographs.sizes_px[i]
        scale = np.asarray([width, height] * 2) / ([*image.shape[1::-1]] * 2)
        boxes = (found.boxes * scale).astype(np.float32)
        self._found[i] = dataclasses.replace(found, boxes=boxes)
        return super().answered(i, image, answer, *others)

    def _compared(self, *_: Any) -> dict[str, Any]:
        return {}

    def metric(self) -> float:
        return box_map(self._photographs, [*self._found], [*self._found.values()])


@functools.lru_cache(maxsize=4)
def _anchors_of_square(spec: RetinaNetSpec, side_px: int) -> np.ndarray:
    return np.concatenate(anchors_of(spec, side_px, side_px))


def answer_loss(answers: jax.Array, labels: jax.Array, offsets: jax.Array) -> jax.Array:
    """Focal loss of classes and smooth L1 of offsets, for each anchor of a thing.

    Args:
      answers: f32[B, anchors, classes + 4].
      labels, offsets: of `rdc.tasks.boxes.targets`, i32[B,anchors], f32[B,anchors,4].

    Returns:
      The mean over photographs.
    """
    logits, found = answers[..., :-4], answers[..., -4:]
    thing = labels > BACKGROUND
    wanted = jax.nn.one_hot(labels, logits.shape[-1])  # of no class: zeros
    sign = 2 * wanted - 1  # makes a logit one of the right answer
    weight = jnp.where(wanted > 0, _ALPHA, 1 - _ALPHA)
    missing = jax.nn.sigmoid(-sign * logits) ** _GAMMA
    focal = -weight * missing * jax.nn.log_sigmoid(sign * logits)
    focal = jnp.sum(focal * (labels != NOT_COUNTED)[..., None], (1, 2))
    far = jnp.abs(found - offsets)
    smooth = jnp.where(
        far < _SMOOTH_L1_BETA,
        0.5 * far**2 / _SMOOTH_L1_BETA,
        far - 0.5 * _SMOOTH_L1_BETA,
    )
    smooth = jnp.sum(smooth * thing[..., None], (1, 2))
    return jnp.mean((focal + smooth) / jnp.maximum(jnp.sum(thing, 1), 1))


def detected(
    answer: np.ndarray, spec: RetinaNetSpec, height_px: int, width_px: int
) -> Detections:
    """A network's answer f32[anchors, classes + 4] for a photograph -> its boxes."""
    boxes, scores, classes = [], [], []
    start = 0
    for anchors in anchors_of(spec, height_px, width_px):
        part = answer[start : start + len(anchors)].astype(np.float64)
        start += len(anchors)
        share = (1 / (1 + np.exp(-part[:, :-4]))).ravel()
        best = np.argsort(-share, kind="stable")[:_MOST_OF_A_LEVEL]
        best = best[share[best] > _LEAST_SCORE]
        place, label = np.divmod(best, spec.classes)
        boxes.append(moved(anchors[place], part[place, -4:]))
        scores.append(share[best])
        classes.append(label)
    limits = np.asarray([width_px, height_px] * 2)
    cut = np.clip(np.concatenate(boxes), 0, limits).astype(np.float32)
    score = np.concatenate(scores).astype(np.float32)
    label = np.concatenate(classes).astype(np.int32)
    kept = without_doubles(cut, score, label, _MOST_IOU)[:_MOST_OF_A_PHOTOGRAPH]
    return Detections(cut[kept], score[kept], label[kept])


def _square(
    image: np.ndarray, boxes: np.ndarray, side_px: int, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A photograph in the upper left of a square, and its boxes there."""
    height, width, _ = image.shape
    scale = side_px / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    scaled = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    boxes = boxes * (np.asarray(size * 2, np.float32) / [width, height, width, height])
    if mirrored:
        scaled = scaled[:, ::-1]
        right, left = boxes[:, 2], boxes[:, 0]
        boxes = np.stack([size[0] - right, boxes[:, 1], size[0] - left, boxes[:, 3]], 1)
    canvas = np.zeros((side_px, side_px, 3), np.uint8)
    canvas[: size[1], : size[0]] = scaled
    return canvas, boxes.astype(np.float32)
