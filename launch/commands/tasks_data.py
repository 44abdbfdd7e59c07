"""What split methods of a sweep learn and answer, checked before anything is spent."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.commands.costs import use_cpu
from launch.terminal.methods_table import TEACHER
from rdc.data.image_sets import file_sha256
from rdc.errors import ConfigError
from rdc.specs.task_networks import TaskNetworkSpec
from rdc.specs.tasks import TaskRecipe
from rdc.tasks.labelled import learned_rows
from rdc.tasks.photographs import Photographs
from rdc.tasks.readers import check, read_photographs
from rdc.tasks.voc import MaskedPhotographs
from sweeps.splitting import Splitting
from sweeps.task_settings import ImageFile, ImageSet


@dataclass(frozen=True)
class TasksData:
    """As of `sweeps.task_settings.TaskSettings`; all None without split methods."""

    photographs: ImageSet | None = None
    test: ImageSet | None = None
    teacher_weights: ImageFile | None = None
    learned: int = 0  # photographs of one training
    classes: int = 0


NO_TASKS = TasksData()


def tasks_data_of(split: Splitting) -> TasksData:
    """What the group `split` names.

    Raises:
      DataError: as `rdc.tasks.readers.check`, or too few for the folds.
      ConfigError: no such file of weights; annotations as `read_photographs`.
    """
    if not split.methods or split.photographs is None:
        return NO_TASKS
    task, classes = split.teacher.task, split.teacher.classes
    photographs = read_photographs(task, split.photographs, split.annotations, classes)
    _check(photographs)
    learned = len(learned_rows(photographs, 0, split.fold_count))
    test = None
    if split.asked is not None:
        test = read_photographs(
            task, split.asked, split.test_annotations, classes, photographs
        )
        _check(test, photographs)
    weights = None
    if split.teacher_weights is not None:
        path = Path(split.teacher_weights).expanduser().absolute()
        if not path.is_file():
            raise ConfigError("split.teacher_weights is a safetensors file", path)
        weights = ImageFile(str(path), file_sha256(path).hex())
    learned_set = _image_set(photographs, split.annotations)
    answered = None if test is None else _image_set(test, split.test_annotations)
    found = len(photographs.classes)
    return TasksData(learned_set, answered, weights, learned, found)


def _check(photographs: Photographs, like: Photographs | None = None) -> None:
    """As `rdc.tasks.readers.check`; people see how far it is."""
    with Console(stderr=True).status("") as status:

        def show(done: int, count: int) -> None:
            status.update(f"decoding {photographs.folder}: {done} of {count}")

        check(photographs, like, show)


def training_costs(
    split: Splitting, data: TasksData, unlabelled: int
) -> dict[str, float]:
    """FLOPs of one training, as `launch.terminal.methods_table` takes them.

    Counted in a process of its own, as costs of architectures are.

    Args:
      unlabelled: photographs without labels.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=use_cpu) as pool:
        found = {
            one.method.described: pool.submit(
                _method_flops,
                one.method,
                split.teacher.network(data.classes),
                data.learned,
                unlabelled if one.is_distilled and split.unlabelled else 0,
            )
            for one in split.expanded()
            if one.method.is_trained
        }
        if data.teacher_weights is None:
            teacher, recipe = split.teacher.network(data.classes), split.teacher.recipe
            found[TEACHER] = pool.submit(_teacher_flops, teacher, recipe, data.learned)
        return {key: future.result() for key, future in found.items()}


def _method_flops(
    method: Any, teacher: TaskNetworkSpec, labelled: int, unlabelled: int
) -> float:
    from rdc.split.costs import training_flops

    return training_flops(method, teacher, labelled, unlabelled)


def _teacher_flops(
    teacher: TaskNetworkSpec, recipe: TaskRecipe, photographs: int
) -> float:
    from rdc.split.costs import teacher_flops

    return teacher_flops(teacher, recipe, photographs)


def _image_set(photographs: Photographs, annotations: str | None) -> ImageSet:
    folder, name = photographs.folder.absolute(), photographs.folder.absolute().name
    if isinstance(photographs, MaskedPhotographs):
        name = f"{name} {annotations}"  # a list: its name, and no file from here
    elif annotations is not None:
        annotations = str(Path(annotations).expanduser().absolute())
    return ImageSet(
        source=str(folder),
        name=name,
        data_sha256=photographs.data_sha256,
        annotations=annotations,
    )
