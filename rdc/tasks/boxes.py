"""Anchors, what they learn and what their answers mean; all as torchvision has it.

Boxes are left, top, right, bottom in pixels, f32[n,4].
"""

from __future__ import annotations

import math

import numpy as np

from rdc.specs.task_networks import RetinaNetSpec

BACKGROUND, NOT_COUNTED = -1, -2  # in place of an anchor's class

_RATIOS = (0.5, 1.0, 2.0)  # height over width
_STEPS = (0, 1 / 3, 2 / 3)  # of an octave
ANCHORS_PER_PLACE = len(_RATIOS) * len(_STEPS)
_STRIDES_PER_SIDE = 4  # of the smallest square anchor
_FOREGROUND_IOU, _BACKGROUND_IOU = 0.5, 0.4
_MAX_LOG_GROWTH = math.log(1000 / 16)


def level_anchors(height_px: int, width_px: int, level: int) -> np.ndarray:
    """Of the map of stride 2^level, row by row: f32[ceil(H/s) ceil(W/s) 9, 4]."""
    stride = 2**level
    base = _STRIDES_PER_SIDE * stride
    sizes = np.asarray([int(base * 2**step) for step in _STEPS], np.float32)
    roots = np.sqrt(np.asarray(_RATIOS, np.float32))[:, None]
    widths, heights = (sizes / roots).ravel(), (sizes * roots).ravel()
    around = np.round(np.stack([-widths, -heights, widths, heights], 1) / 2)
    top, left = np.mgrid[
        : math.ceil(height_px / stride), : math.ceil(width_px / stride)
    ]
    places = np.stack([left, top, left, top], -1).reshape(-1, 1, 4) * stride
    return (places + around).reshape(-1, 4).astype(np.float32)


def anchors_of(spec: RetinaNetSpec, height_px: int, width_px: int) -> list[np.ndarray]:
    """Of a photograph, by level, in the order of the network's answers."""
    levels = range(spec.first_stage + 1, 8)
    return [level_anchors(height_px, width_px, level) for level in levels]


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair, f32[boxes, others]."""
    least = np.maximum(boxes[:, None, :2], others[None, :, :2])
    largest = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.maximum(largest - least, 0), -1)
    areas = [np.prod(each[:, 2:] - each[:, :2], -1) for each in (boxes, others)]
    return common / np.maximum(areas[0][:, None] + areas[1] - common, 1e-12)


def targets(
    anchors: np.ndarray, boxes: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What anchors learn: classes i32[anchors] and offsets f32[anchors,4].

    An anchor takes the box that it meets best: from IoU .5 on it has the box's class,
    below .4 it is `BACKGROUND`, between them `NOT_COUNTED`. The best anchors of a box
    have a class whatever their IoU.
    """
    labels = np.full(len(anchors), BACKGROUND, np.int32)
    offsets = np.zeros((len(anchors), 4), np.float32)
    if not len(boxes):
        return labels, offsets
    met = iou(boxes, anchors)
    best, found = met.argmax(0), met.max(0)
    labels[found >= _BACKGROUND_IOU] = NOT_COUNTED
    best_of_box = met.max(1, keepdims=True)
    best_of_one = ((met == best_of_box) & (met > 0)).any(0)
    positive = (found >= _FOREGROUND_IOU) | best_of_one
    labels[positive] = classes[best[positive]]
    offsets[positive] = _offsets(anchors[positive], boxes[best[positive]])
    return labels, offsets


def moved(anchors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Anchors moved by what a network answers for them."""
    centre, size = _centre_and_size(anchors)
    growth = np.minimum(offsets[:, 2:], _MAX_LOG_GROWTH)
    centre, size = centre + offsets[:, :2] * size, size * np.exp(growth)
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def without_doubles(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, most_iou: float
) -> np.ndarray:
    """Non-maximum suppression in each class: rows that stay, best scores first."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        double = iou(boxes[first][None], boxes[rest])[0] > most_iou
        order = rest[~(double & (classes[rest] == classes[first]))]
    return np.asarray(kept, np.int64)


def _offsets(anchors: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """What `moved` undoes: of centres in an anchor's sizes, of sizes in logarithms."""
    (from_centre, from_size), (centre, size) = map(_centre_and_size, (anchors, boxes))
    return np.concatenate(
        [(centre - from_centre) / from_size, np.log(size / from_size)], 1
    )


def _centre_and_size(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
