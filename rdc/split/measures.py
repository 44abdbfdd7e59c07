"""One method on labelled photographs, photograph by photograph, from real bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rdc.codec.container import unpack
from rdc.errors import DataError
from rdc.measurements.rows import TaskAnswer
from rdc.split.base import SplitMethod
from rdc.tasks.metrics import divergence_nats


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A photograph u8[H,W,3], its class, the teacher's logits f32[classes] of it."""

    name: str
    image: np.ndarray
    label: int
    teacher_logits: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a method did to photographs.

    Attributes:
      encoder_kmacs_per_px: of what runs on the device, all of it over all pixels; None
        where nobody counted it.
      tail_kmacs_per_px: of the server, decoder included where it was counted.
    """

    answers: tuple[TaskAnswer, ...]
    encoder_kmacs_per_px: float | None
    tail_kmacs_per_px: float


def measure(method: SplitMethod, photographs: Iterable[Labelled]) -> Measured:
    """Encodes and answers each photograph.

    Raises:
      DataError: no photographs, or a label that the task network does not know.
    """
    answers = []
    pixels, encoder_macs, server_macs = 0, 0.0, 0.0
    counted = True
    for each in photographs:
        height, width = each.image.shape[:2]
        data = method.encode(each.image)
        logits = method.answer(data)
        bits = method.bits_estimated(each.image)
        if bits is not None:
            bits += 8 * (len(data) - len(unpack(data)[1]))
        answers.append(task_answer(each, len(data), logits, bits))
        pixels += height * width
        encoder = method.encoder_macs(height, width)
        counted = counted and encoder is not None
        encoder_macs += encoder or 0
        # A classical codec has no network on the server but the teacher.
        decoder = method.decoder_macs(height, width) or 0
        server_macs += decoder + method.tail_macs(height, width)
    if not answers:
        raise DataError("a task is measured on at least one photograph", 0)
    return Measured(
        answers=tuple(answers),
        encoder_kmacs_per_px=encoder_macs / pixels / 1000 if counted else None,
        tail_kmacs_per_px=server_macs / pixels / 1000,
    )


def task_answer(
    each: Labelled,
    size: int,
    logits: np.ndarray,
    bits_estimated: float | None = None,
) -> TaskAnswer:
    """The row of one photograph.

    Args:
      size: bytes of what was sent.
      logits: f32[classes], what came out.
      bits_estimated: as of a `TaskAnswer`.

    Raises:
      DataError: a label that the task network does not know.
    """
    if not 0 <= each.label < len(logits):
        raise DataError(
            f"labels are 0 to {len(logits) - 1} with this task network", each.label
        )
    height, width = each.image.shape[:2]
    return TaskAnswer(
        photograph=each.name,
        height_px=height,
        width_px=width,
        bytes=size,
        bits_estimated=bits_estimated,
        label=each.label,
        answer=int(logits.argmax()),
        teacher_answer=int(each.teacher_logits.argmax()),
        kl_nats=divergence_nats(each.teacher_logits[None], logits[None]),
    )
