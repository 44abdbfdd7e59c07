"""Metrics of tasks against figures by hand."""

import math

import numpy as np
import pytest

from rdc.tasks.metrics import (
    agreement,
    confusion_counts,
    divergence_nats,
    exr_of,
    mean_iou,
    top1,
)

LOGITS = np.log(np.asarray([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32))


def test_shares() -> None:
    assert top1(LOGITS, np.asarray([0, 1])) == (1, 0)
    share, error = top1(np.repeat(LOGITS, 2, 0), np.asarray([0, 1, 1, 1]))
    assert (share, error) == (0.75, pytest.approx(math.sqrt(0.75 * 0.25 / 4)))
    assert agreement(LOGITS, LOGITS[::-1]) == 0
    assert agreement(LOGITS, LOGITS * 3) == 1


def test_divergence_is_the_teachers_from_the_answers() -> None:
    uniform = np.full((2, 3), 7.0, np.float32)  # logits have no zero
    by_hand = 0.5 * math.log(1.5) + 0.5 * math.log(0.75)
    by_hand += 0.8 * math.log(2.4) + 0.2 * math.log(0.3)
    assert divergence_nats(LOGITS, uniform) == pytest.approx(by_hand / 2)
    assert divergence_nats(uniform, LOGITS) != pytest.approx(by_hand / 2, rel=0.01)
    assert divergence_nats(LOGITS, LOGITS + 5) == pytest.approx(0, abs=1e-6)


def test_mean_iou_leaves_out_the_void_and_absent_classes() -> None:
    truth = np.asarray([[0, 0, 1], [1, 2, 255]], np.uint8)
    answers = np.asarray([[0, 1, 1], [1, 0, 2]], np.uint8)
    counts = confusion_counts(answers, truth)
    assert (counts.shape, counts.sum()) == ((21, 21), 5)
    # Class 0: one of three; class 1: two of three; class 2: none of one.
    assert mean_iou(counts) == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    assert mean_iou(confusion_counts(truth[:1], truth[:1]) * 2) == 1


def test_exr_is_null_without_an_encoder() -> None:
    assert exr_of(None, 100.0) is None
    assert exr_of(4, 2.5) == 10
