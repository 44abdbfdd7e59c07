"""Detection: training on photographs with boxes, and the boxes of an answer."""

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
from rdc.specs.tasks import EpochsRecipe
from rdc.tasks.boxes import BACKGROUND, NOT_COUNTED, moved, targets, without_doubles
from rdc.tasks.coco import BoxedPhotographs
from rdc.tasks.retinanet import RetinaNet, RetinaNetSpec
from rdc.tasks.training import train_network

# Of the focal loss, Lin et al. 2017; smooth L1 turns at the value of Detectron2.
_ALPHA, _GAMMA = 0.25, 2.0
_SMOOTH_L1_BETA = 0.1
# torchvision's, as all that follows.
_LEAST_SCORE = 0.05
_MOST_OF_A_LEVEL = 1000
_MOST_IOU = 0.5
_MOST_OF_A_PHOTOGRAPH = 300


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(EpochsRecipe):
    """How a detector is trained.

    Attributes:
      side_px: of the squares that a batch is made of; a photograph's longer side is
        scaled to it, the rest is black.
    """

    epochs: float = 26
    batch: int = 8
    side_px: int = 800

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.side_px >= 32, "side_px is 32 or more", self.side_px)


@dataclass(frozen=True)
class Detections:
    """Of one photograph, best scores first.

    Attributes:
      boxes: f32[n,4], left, top, right, bottom in pixels.
      scores: f32[n].
      classes: i32[n].
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def train(
    photographs: BoxedPhotographs,
    rows: np.ndarray,
    spec: RetinaNetSpec,
    recipe: DetectionRecipe,
    seed: int,
    checkpoints: Path,
) -> RetinaNet:
    """A detector of the photographs `rows`; see `train_network`.

    Raises:
      ConfigError: a network of other classes than the photographs'.
    """
    require(
        spec.classes == len(photographs.category_ids),
        f"the photographs have {len(photographs.category_ids)} classes, as the network",
        spec.classes,
    )
    anchors = np.concatenate(spec.anchors(recipe.side_px, recipe.side_px))

    def batch_of(
        chosen: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images, labels, offsets = [], [], []
        for i in chosen:
            boxes, classes = photographs.boxes(i)
            mirrored = bool(random.integers(2))
            image, boxes = _square(
                photographs.image(i), boxes, recipe.side_px, mirrored
            )
            found = targets(anchors, boxes, classes)
            images.append(image)
            labels.append(found[0])
            offsets.append(found[1])
        x = np.stack(images).astype(np.float32) / 255
        return x, np.stack(labels), np.stack(offsets)

    network = RetinaNet(spec, ParameterFactory(seed))
    return train_network(
        network, anchor_loss, batch_of, photographs, rows, recipe, seed, checkpoints
    )


def anchor_loss(network: RetinaNet, batch: Any, _key: jax.Array) -> jax.Array:
    """`answer_loss` of a `RetinaNet`.

    On f32[B,H,W,3] in [0, 1] and what `rdc.tasks.boxes.targets` gives for each.
    """
    x, labels, offsets = batch
    return answer_loss(network(x), labels, offsets)


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
    for anchors in spec.anchors(height_px, width_px):
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


def detections_of(
    answer: Callable[[np.ndarray], np.ndarray],
    spec: RetinaNetSpec,
    photographs: BoxedPhotographs,
    rows: Iterable[int],
) -> list[Detections]:
    """Of whole photographs, each as large as it is.

    Args:
      answer: u8[H,W,3] -> f32[anchors, classes + 4], as `rdc.tasks.networks.answering`
        gives it, or a split method from its bytes.
    """
    images = map(photographs.image, rows)
    return [detected(answer(image), spec, *image.shape[:2]) for image in images]


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
