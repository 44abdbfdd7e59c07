"""Metrics of tasks, on answers as arrays."""

from __future__ import annotations

import math

import numpy as np

from rdc.specs.task_networks import VOC_CLASSES

VOC_VOID = 255  # pixels at borders of objects, which do not count


def top1(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Share of right answers and its standard error.

    Args:
      logits: f32[count, classes].
      labels: i32[count].
    """
    share = float(np.mean(logits.argmax(-1) == labels))
    return share, math.sqrt(share * (1 - share) / len(labels))


def agreement(logits: np.ndarray, teacher_logits: np.ndarray) -> float:
    """Share of photographs with the teacher's answer; both f32[count, classes]."""
    return float(np.mean(logits.argmax(-1) == teacher_logits.argmax(-1)))


def divergence_nats(teacher_logits: np.ndarray, logits: np.ndarray) -> float:
    """Mean KL(teacher || answers) over f32[count, classes]."""
    p, q = _log_softmax(teacher_logits), _log_softmax(logits)
    return float(np.mean(np.sum(np.exp(p) * (p - q), -1)))


def mean_iou(confusion: np.ndarray) -> float:
    """Mean over classes of intersection / union, from the sum of `confusion_counts`.

    Classes that neither the truth nor the answers hold do not count.
    """
    intersection = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - intersection
    return float(np.mean(intersection[union > 0] / union[union > 0]))


def confusion_counts(
    answers: np.ndarray,
    truth: np.ndarray,
    classes: int = VOC_CLASSES,
    void: int = VOC_VOID,
) -> np.ndarray:
    """Pixels by class of the truth (rows) and of the answer: i64[classes,classes].

    Args:
      answers, truth: integers of one shape; pixels whose truth is `void` are left out.
    """
    counted = truth != void
    pairs = truth[counted].astype(np.int64) * classes + answers[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def exr_of(encoder_bits: int | None, bytes_per_datum: float) -> float | None:
    """Size of the encoder times rate: the axis of the curve ExR-D.

    Matsubara et al. 2023 (SC2 benchmark). None where no encoder is.
    """
    return None if encoder_bits is None else encoder_bits * bytes_per_datum


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
