"""One method on labelled photographs: a row of the table `task_results`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rdc.errors import DataError
from rdc.split.base import SplitMethod
from rdc.tasks.metrics import agreement, divergence_nats, exr_of, top1


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A photograph u8[H,W,3], its class, the teacher's logits f32[classes] of it."""

    image: np.ndarray
    label: int
    teacher_logits: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TaskMeasures:
    """The measured columns of `task_results`; None where a method has no such thing.

    Attributes:
      bytes_per_datum: mean over whole streams, headers included.
      bpp: all bits over all pixels.
      metric: top-1 accuracy.
      teacher_agreement: share of photographs with the teacher's class.
      kl: mean divergence of the method's classes from the teacher's, in nats.
      encoder_kmacs_per_px, tail_kmacs_per_px: of the networks on the device; on the
        server, decoder and teacher's part.
      exr: encoder_bits * bytes_per_datum.
      se: standard error of the metric.
    """

    image_count: int
    bytes_per_datum: float
    bpp: float
    metric: float
    distortion: float
    teacher_agreement: float
    kl: float
    encoder_bits: int | None
    encoder_kmacs_per_px: float | None
    tail_kmacs_per_px: float
    exr: float | None
    se: float


def measure(method: SplitMethod, photographs: Iterable[Labelled]) -> TaskMeasures:
    """Encodes and answers each photograph, from real bytes.

    Raises:
      DataError: no photographs, or a label that the task network does not know.
    """
    sizes, pixels, labels, answers, teachers = [], [], [], [], []
    encoder_macs: list[float | None] = []
    server_macs = []
    for each in photographs:
        height, width = each.image.shape[:2]
        data = method.encode(each.image)
        logits = method.answer(data)
        if not 0 <= each.label < len(logits):
            raise DataError(
                f"labels are 0 to {len(logits) - 1} with this task network", each.label
            )
        sizes.append(len(data))
        pixels.append(height * width)
        labels.append(each.label)
        answers.append(logits)
        teachers.append(each.teacher_logits)
        encoder_macs.append(method.encoder_macs(height, width))
        # A classical codec has no network on the server but the teacher.
        decoder = method.decoder_macs(height, width) or 0
        server_macs.append(decoder + method.tail_macs(height, width))
    if not sizes:
        raise DataError("a task is measured on at least one photograph", 0)
    counted = [macs for macs in encoder_macs if macs is not None]
    bytes_per_datum = float(np.mean(sizes))
    found, reference = np.stack(answers), np.stack(teachers)
    metric, error = top1(found, np.asarray(labels))
    return TaskMeasures(
        image_count=len(sizes),
        bytes_per_datum=bytes_per_datum,
        bpp=8 * sum(sizes) / sum(pixels),
        metric=metric,
        distortion=1 - metric,
        teacher_agreement=agreement(found, reference),
        kl=divergence_nats(reference, found),
        encoder_bits=method.encoder_bits,
        encoder_kmacs_per_px=sum(counted) / sum(pixels) / 1000 if counted else None,
        tail_kmacs_per_px=sum(server_macs) / sum(pixels) / 1000,
        exr=exr_of(method.encoder_bits, bytes_per_datum),
        se=error,
    )
