"""Photographs of a task, read from where a user keeps them, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rdc.errors import ConfigError
from rdc.specs.task_networks import VOC_CLASSES
from rdc.specs.tasks import TaskName
from rdc.tasks.box_map import library
from rdc.tasks.checks import Progress, no_progress
from rdc.tasks.coco import BoxedPhotographs, boxed_photographs, check_boxed
from rdc.tasks.labelled import (
    LabelledPhotographs,
    check_photographs,
    labelled_photographs,
)
from rdc.tasks.photographs import Photographs
from rdc.tasks.voc import MaskedPhotographs, check_masked, masked_photographs

# What `annotations` are, by task.
ANNOTATIONS = {
    "segmentation": "a list of ImageSets/Segmentation, as train",
    "detection": "a JSON file in COCO's format",
}


def read_photographs(
    task: TaskName,
    folder: str | Path,
    annotations: str | None = None,
    classes: int | None = None,
    like: Any = None,
) -> Photographs:
    """With what is known of each.

    Args:
      folder: of photographs; of a segmentation, that of VOC.
      annotations: see `ANNOTATIONS`; with classes there are none.
      classes: of the network; None: those of the photographs, and VOC's 21 of masks.
      like: photographs of the same task, whose classes these have.

    Raises:
      ConfigError: annotations that are missing, or that nobody reads.
      DataError: as the reader of the task.
    """
    if task == "classification":
        if annotations is not None:
            raise ConfigError(
                "labels stand in labels.csv of their folder, or are names of folders",
                f"annotations {annotations}",
                "leave them out, or name the task: split.teacher.task",
            )
        return labelled_photographs(folder)
    if annotations is None:
        raise ConfigError(
            f"a {task} has annotations: {ANNOTATIONS[task]}",
            "none",
            "add split.annotations, and split.test_annotations of what is answered",
        )
    if task == "segmentation":
        return masked_photographs(folder, annotations, classes or VOC_CLASSES)
    known = like.category_ids if like is not None else None
    ids = known if classes is None else range(classes)
    return boxed_photographs(folder, annotations, ids)


def check(photographs: Any, like: Any = None, progress: Progress = no_progress) -> None:
    """Decodes what was not decoded before.

    Args:
      like: photographs whose classes these must have.

    Raises:
      ConfigError: boxes, and nothing that measures them.
      DataError: as the checks of the task.
    """
    if isinstance(photographs, LabelledPhotographs):
        check_photographs(photographs, None if like is None else like.classes, progress)
    elif isinstance(photographs, MaskedPhotographs):
        check_masked(photographs, progress)
    elif isinstance(photographs, BoxedPhotographs):
        library()
        check_boxed(photographs, progress)
