"""Mean average precision of boxes, by COCO's own program (extra `tasks`)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdc.errors import ConfigError, DataError
from rdc.tasks.coco import BoxedPhotographs


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


def box_map(
    photographs: BoxedPhotographs, rows: Sequence[int], detections: Sequence[Detections]
) -> float:
    """Mean over categories and over IoU .5, .55 to .95, of COCO's average precision.

    Args:
      rows: of the photographs that count.
      detections: of each of these.

    Raises:
      ConfigError: without pycocotools.
      DataError: nothing but crowds is annotated in these photographs.
    """
    coco, evaluation_of = library()
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for i, each in zip(rows, detections, strict=True):
        for annotation in photographs.annotations[i]:
            truth.append(
                {
                    "id": len(truth) + 1,  # an id of 0 would be no match to COCOeval
                    "image_id": i,
                    "category_id": annotation.category_id,
                    "bbox": list(annotation.box),
                    "area": annotation.area_px,
                    "iscrowd": int(annotation.is_crowd),
                }
            )
        for box, score, label in zip(
            each.boxes, each.scores, each.classes, strict=True
        ):
            left, top, right, bottom = map(float, box)
            found.append(
                {
                    "image_id": i,
                    "category_id": photographs.category_ids[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(score),
                }
            )
    if all(annotation["iscrowd"] for annotation in truth):
        raise DataError("boxes are measured where a thing is annotated", "none")
    if not found:
        return 0.0  # pycocotools fails on an empty list
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        annotated = coco()
        annotated.dataset = {
            "info": {},
            "images": [{"id": i} for i in rows],
            "annotations": truth,
            "categories": [{"id": i} for i in photographs.category_ids],
        }
        annotated.createIndex()
        evaluation = evaluation_of(annotated, annotated.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def library() -> tuple[Any, Any]:
    """Of pycocotools: `COCO` and `COCOeval`; raises as `box_map`."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError as error:
        raise ConfigError(
            "mean average precision is computed by pycocotools",
            error,
            "install the extra: pip install 'rdc-frontier[tasks]'",
        ) from None
    return COCO, COCOeval
