"""One method on labelled photographs, photograph by photograph, from real bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rdc.codec.container import unpack
from rdc.errors import DataError
from rdc.measurements.rows import TaskAnswer
from rdc.split.base import SplitMethod
from rdc.tasks.base import Scores


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A photograph u8[H,W,3] and the teacher's answer to it.

    Attributes:
      row: of the photographs that `Scores` knows.
    """

    row: int
    image: np.ndarray
    teacher_answer: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a method did to photographs.

    Attributes:
      set_metric: see `rdc.tasks.base.Scores.metric`.
      encoder_kmacs_per_px: of what runs on the device, all of it over all pixels; None
        where nobody counted it.
      tail_kmacs_per_px: of the server, decoder included where it was counted.
    """

    answers: tuple[TaskAnswer, ...]
    set_metric: float | None
    encoder_kmacs_per_px: float | None
    tail_kmacs_per_px: float


def measure(
    method: SplitMethod, photographs: Iterable[Asked], scores: Scores
) -> Measured:
    """Encodes and answers each photograph.

    Args:
      scores: of these photographs, none so far.

    Raises:
      DataError: no photographs, or as `rdc.tasks.base.Scores.answered`.
    """
    answers = []
    pixels, encoder_macs, server_macs = 0, 0.0, 0.0
    counted = True
    for each in photographs:
        height, width = each.image.shape[:2]
        data = method.encode(each.image)
        answer = method.answer(data)
        bits = method.bits_estimated(each.image)
        if bits is not None:
            bits += 8 * (len(data) - len(unpack(data)[1]))
        row = (each.row, each.image, answer, each.teacher_answer)
        answers.append(scores.answered(*row, len(data), bits))
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
        set_metric=scores.metric(),
        encoder_kmacs_per_px=encoder_macs / pixels / 1000 if counted else None,
        tail_kmacs_per_px=server_macs / pixels / 1000,
    )
