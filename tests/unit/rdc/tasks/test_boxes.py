"""Anchors, targets and suppression against figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rdc.tasks.boxes import (
    BACKGROUND,
    NOT_COUNTED,
    iou,
    level_anchors,
    moved,
    targets,
    without_doubles,
)

SQUARE = np.asarray([[0, 0, 10, 10]], np.float32)


def test_anchors_are_torchvisions() -> None:
    """Its AnchorGenerator at stride 8: sizes 32, 40, 50, rounded; ratios outermost."""
    anchors = level_anchors(17, 40, 3)
    assert anchors.shape == (3 * 5 * 9, 4)
    np.testing.assert_array_equal(anchors[0], [-23, -11, 23, 11])
    np.testing.assert_array_equal(anchors[3], [-16, -16, 16, 16])
    np.testing.assert_array_equal(anchors[5], [-25, -25, 25, 25])
    np.testing.assert_array_equal(anchors[8], [-18, -35, 18, 35])
    np.testing.assert_array_equal(anchors[9 + 3], [-8, -16, 24, 16])  # one to the right
    np.testing.assert_array_equal(anchors[5 * 9 + 3], [-16, -8, 16, 24])  # one down


def test_iou() -> None:
    others = np.asarray(
        [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4]], np.float32
    )
    np.testing.assert_allclose(iou(SQUARE, others)[0], [1, 1 / 3, 0, 0.04], rtol=1e-6)


def test_targets() -> None:
    anchors = np.asarray(
        [
            [0, 0, 10, 10],  # the first box
            [0, 0, 10, 18],  # meets it by 10/18
            [0, 0, 10, 22],  # by 10/22
            [0, 0, 10, 30],  # by a third
            [40, 40, 60, 60],  # the best of the second box, by a quarter
            [80, 80, 90, 90],
        ],
        np.float32,
    )
    boxes = np.asarray([[0, 0, 10, 10], [40, 40, 50, 50]], np.float32)
    labels, offsets = targets(anchors, boxes, np.asarray([4, 6], np.int32))
    assert labels.tolist() == [4, 4, NOT_COUNTED, BACKGROUND, 6, BACKGROUND]
    np.testing.assert_allclose(moved(anchors, offsets)[[0, 1]], boxes[[0, 0]])
    np.testing.assert_allclose(offsets[4], [-0.25, -0.25, *np.log([0.5, 0.5])])
    beyond = boxes[:1] + 500  # met by no anchor
    assert (targets(anchors, beyond, np.asarray([4]))[0] == BACKGROUND).all()
    none = np.zeros((0, 4), np.float32)
    labels, offsets = targets(anchors, none, np.zeros(0, np.int32))
    assert (labels == BACKGROUND).all()
    assert not offsets.any()


def test_moved_boxes_stay_finite() -> None:
    wild = np.asarray([[0, 0, 900, 900]], np.float32)
    left, _, right, _ = moved(SQUARE, wild)[0]
    assert right - left == pytest.approx(10 * 1000 / 16)


def test_doubles_of_a_class_go() -> None:
    boxes = np.asarray(
        [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8], [20, 0, 30, 10]], np.float32
    )
    scores = np.asarray([0.6, 0.9, 0.7, 0.1])
    classes = np.asarray([1, 1, 2, 1])
    assert without_doubles(boxes, scores, classes, 0.5).tolist() == [1, 2, 3]
    assert without_doubles(boxes, scores, classes, 0.95).tolist() == [1, 2, 0, 3]
    empty = without_doubles(boxes[:0], scores[:0], classes[:0], 0.5)
    assert empty.shape == (0,)
