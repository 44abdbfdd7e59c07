"""What split methods of a sweep learn and answer, checked before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rdc.data.image_sets import file_sha256
from rdc.errors import ConfigError
from rdc.tasks.labelled import (
    LabelledPhotographs,
    check_photographs,
    labelled_photographs,
    stratified_folds,
)
from sweeps.splitting import Splitting
from sweeps.task_settings import ImageFile, ImageSet


@dataclass(frozen=True)
class TasksData:
    """As of `sweeps.task_settings.TaskSettings`; all None without split methods."""

    photographs: ImageSet | None = None
    test: ImageSet | None = None
    teacher_weights: ImageFile | None = None


NO_TASKS = TasksData()


def tasks_data_of(split: Splitting) -> TasksData:
    """What the group `split` names.

    Raises:
      DataError: as `rdc.tasks.labelled.check_photographs`, or too few for the folds.
      ConfigError: no such file of weights.
    """
    if not split.methods or split.photographs is None:
        return NO_TASKS
    photographs = labelled_photographs(split.photographs)
    check_photographs(photographs)
    test = None
    if split.test is None:
        stratified_folds(photographs, split.folds)
    else:
        test = labelled_photographs(split.test)
        check_photographs(test, photographs.classes)
    weights = None
    if split.teacher_weights is not None:
        path = Path(split.teacher_weights).expanduser().absolute()
        if not path.is_file():
            raise ConfigError("split.teacher_weights is a safetensors file", path)
        weights = ImageFile(str(path), file_sha256(path).hex())
    answered = None if test is None else _image_set(test)
    return TasksData(_image_set(photographs), answered, weights)


def _image_set(photographs: LabelledPhotographs) -> ImageSet:
    folder = photographs.folder.absolute()
    return ImageSet(str(folder), folder.name, photographs.data_sha256)
