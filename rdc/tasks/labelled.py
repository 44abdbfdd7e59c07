"""Labelled photographs: read, checked before anything is spent, dealt into folds."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdc.data.image_sets import IMAGE_SUFFIXES, first_few, list_images
from rdc.data.images import read_image
from rdc.data.manifest import known_images
from rdc.errors import ConfigError, DataError
from rdc.tasks.checks import (
    Progress,
    check_files,
    check_none_without,
    no_progress,
)

LABELS_FILE = "labels.csv"
_COLUMNS = ("file", "label", "label_id")


@dataclass(frozen=True)
class LabelledPhotographs:
    """Photographs of a folder with their classes.

    Attributes:
      names: of the files below `folder`, in a fixed order.
      labels: i32[count], indices into `classes`.
    """

    folder: Path
    names: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """u8[H,W,3]; raises as `rdc.data.images.read_image`."""
        return read_image(self.path(i))

    def path(self, i: int) -> Path:
        """Of its file."""
        return self.folder / self.names[i]

    @property
    def data_sha256(self) -> str:
        """Of files and labels, 64 hex digits; their names do not count.

        Only files that are new or changed are read.
        """
        files = known_images(str(self.folder)).data_sha256
        return hashlib.sha256(f"{files} {self.labels.tolist()}".encode()).hexdigest()


def labelled_photographs(folder: str | Path) -> LabelledPhotographs:
    """Reads `labels.csv` (file, label, label_id), or else one folder a class.

    Raises:
      DataError: labels without photographs or the reverse, classes that contradict
        themselves.
    """
    folder = Path(folder).expanduser()
    paths = list_images(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    if (folder / LABELS_FILE).is_file():
        return _from_csv(folder, names)
    return _from_folders(folder, names)


def check_photographs(
    photographs: LabelledPhotographs,
    classes: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> None:
    """Every photograph can be decoded; those that were, and did not change, are known.

    Args:
      classes: that a task network knows, in its order; None for those of the set.
      progress: is told how many were decoded, of how many to be decoded.

    Raises:
      DataError: one is corrupt or a grey file, or of a class that is not known.
    """
    if classes is not None and tuple(classes) != photographs.classes:
        known = ", ".join(classes)
        raise DataError(
            f"the classes are the teacher's, in its order: {known}",
            ", ".join(photographs.classes),
            "take photographs of these classes, or a teacher of yours",
        )
    images = known_images(str(photographs.folder), decoded=True, progress=progress)
    root = photographs.folder
    names = (path.relative_to(root).as_posix() for path in images)
    check_files(names, images.facts)


def stratified_folds(photographs: LabelledPhotographs, count: int = 5) -> np.ndarray:
    """The fold of each photograph, i32[count of photographs].

    Each class is dealt out in the order of its names' hashes: a photograph's fold
    hangs on no seed, and folds differ by one photograph of a class at most.

    Raises:
      ConfigError: less than two folds.
      DataError: a class with fewer photographs than folds.
    """
    if count < 2:
        raise ConfigError("out-of-fold answers need two folds or more", count)
    folds = np.empty(len(photographs), np.int32)
    for label, name in enumerate(photographs.classes):
        rows = np.flatnonzero(photographs.labels == label)
        if len(rows) < count:
            raise DataError(
                f"each class has a photograph for each of {count} folds",
                f"{len(rows)} of {name}",
                "add photographs or take fewer folds",
            )
        dealt = sorted(rows, key=lambda row: _name_hash(photographs.names[row]))
        folds[dealt] = np.arange(len(rows)) % count
    return folds


def learned_rows(photographs: Any, fold: int, fold_count: int) -> np.ndarray:
    """All but those of a fold; all of them where there is but one, with a test set."""
    if fold_count == 1:
        return np.arange(len(photographs))
    return np.flatnonzero(stratified_folds(photographs, fold_count) != fold)


def answered_rows(photographs: Any, fold: int, fold_count: int) -> np.ndarray:
    """Those of a fold; all of them where there is but one: they are the test set."""
    if fold_count == 1:
        return np.arange(len(photographs))
    return np.flatnonzero(stratified_folds(photographs, fold_count) == fold)


def drawn_rows(photographs: LabelledPhotographs, count: int) -> np.ndarray:
    """So many of them, as far as there are, by their names' hashes."""
    dealt = sorted(
        range(len(photographs)), key=lambda i: _name_hash(photographs.names[i])
    )
    return np.sort(np.asarray(dealt[:count], int))


def _name_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _from_csv(folder: Path, names: list[str]) -> LabelledPhotographs:
    path = folder / LABELS_FILE
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path} has the columns {', '.join(_COLUMNS)}", f"no {missing[0]}"
            )
        rows = {row["file"]: (row["label_id"], row["label"]) for row in reader}
        count = reader.line_num - 1
    if count != len(rows):
        raise DataError(f"{path} names a file once", f"{count - len(rows)} twice")
    check_none_without("has photographs for its labels", path, {*rows} - {*names})
    check_none_without("has labels for its photographs", path, {*names} - {*rows})
    try:
        by_id = dict(sorted((int(i), label) for i, label in set(rows.values())))
    except ValueError as error:
        raise DataError(f"label_id in {path} is a whole number", error) from None
    if list(by_id) != list(range(len(set(rows.values())))):
        raise DataError(
            f"{path} gives each label one label_id, from 0 without gaps",
            ", ".join(f"{i} {label}" for i, label in sorted(set(rows.values()))),
        )
    labels = np.asarray([int(rows[name][0]) for name in names], np.int32)
    return LabelledPhotographs(folder, tuple(names), labels, tuple(by_id.values()))


def _from_folders(folder: Path, names: list[str]) -> LabelledPhotographs:
    loose = [name for name in names if "/" not in name]
    if loose:
        raise DataError(
            f"photographs lie in one folder a class, or {LABELS_FILE} names them",
            f"{len(loose)} in {folder} itself: {first_few(loose, 3)}",
        )
    classes = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    found = [name.split("/")[0] for name in names]
    empty = sorted({*classes} - {*found})
    if empty:
        raise DataError(
            f"a class has photographs ({', '.join(IMAGE_SUFFIXES)})",
            f"none in {folder / empty[0]}",
            "add some or remove the folder",
        )
    labels = np.asarray([classes.index(name) for name in found], np.int32)
    return LabelledPhotographs(folder, tuple(names), labels, tuple(classes))
