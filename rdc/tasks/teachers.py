"""Teachers: trained here on labelled photographs, kept as folders."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, weights_sha256, with_weights
from rdc.errors import ConfigError, StorageError
from rdc.identity import content_id
from rdc.layers import ParameterFactory
from rdc.specs.tasks import TeacherSpec
from rdc.system.arrays import npz_bytes
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically
from rdc.tasks.labelled import (
    LabelledPhotographs,
    learned_rows,
    stratified_folds,
)
from rdc.tasks.networks import TaskNetwork, answering, build, kind_of, spec_of
from rdc.tasks.photographs import Photographs
from rdc.tasks.training import train_network
from rdc.training.fit import Progress

SPEC_FILE, WEIGHTS_FILE, LOGITS_FILE = "teacher.json", "weights.npz", "logits.npz"
CHECKPOINTS = "checkpoints"
SCHEMA_VERSION = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """A trained task network.

    Attributes:
      teacher_id: 16 hex digits of spec and weights.
      classes: what its logits stand for, in their order.
      provenance: how it came to be; kept as it is.
    """

    network: TaskNetwork
    teacher_id: str
    classes: tuple[str, ...]
    provenance: dict[str, Any]


def train(
    photographs: Photographs,
    rows: np.ndarray,
    spec: TeacherSpec,
    checkpoints: Path,
    earlier: Sequence[Path] = (),
    progress: Progress | None = None,
) -> TaskNetwork:
    """A teacher of the photographs `rows`; see `rdc.tasks.training.train_network`."""
    layout = spec.network(len(photographs.classes))
    network = build(layout, ParameterFactory(spec.seed))
    run = (photographs, rows, spec.recipe, spec.seed)
    return train_network(network, *run, checkpoints, earlier, progress)


def of_fold(
    photographs: Photographs,
    spec: TeacherSpec,
    fold: int,
    fold_count: int,
    folder: Path,
    checkpoints: Path | None = None,
    earlier: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Teacher:
    """The teacher that learns all folds of `stratified_folds` but one (`learned_rows`).

    One that is in `folder` is taken.

    Args:
      checkpoints: of its training; left out, below `folder`.
      earlier: checkpoint folders to go on from, newest last.

    Raises:
      ConfigError: another one is there.
    """
    provenance = {
        "data_sha256": photographs.data_sha256,
        "fold": fold,
        "fold_count": fold_count,
        "teacher": spec.to_dict(),
    }
    if (folder / SPEC_FILE).is_file():
        teacher = load(folder)
        known = {**teacher.provenance, "teacher": recipe_of(teacher).to_dict()}
        if known != provenance:
            raise ConfigError(
                "teachers in a folder are of one recipe and set of photographs",
                f"another one in {folder}",
                "take another folder",
            )
        return teacher
    rows = learned_rows(photographs, fold, fold_count)
    checkpoints = checkpoints or folder / CHECKPOINTS
    network = train(photographs, rows, spec, checkpoints, earlier, progress)
    return save(network, photographs.classes, provenance, folder)


def out_of_fold(
    photographs: LabelledPhotographs,
    spec: TeacherSpec,
    folder: Path,
    fold_count: int = 5,
) -> np.ndarray:
    """Logits f32[count, classes], of each photograph by a teacher that never saw it.

    Teacher i is in `folder`/fold{i}; teachers and checkpoints that are there are taken.
    """
    folds = stratified_folds(photographs, fold_count)
    logits = np.empty((len(photographs), len(photographs.classes)), np.float32)
    for fold in range(fold_count):
        _log.info("teacher %d of %d", fold + 1, fold_count)
        place = folder / f"fold{fold}"
        teacher = of_fold(photographs, spec, fold, fold_count, place)
        mine = np.flatnonzero(folds == fold)
        logits[mine] = answers(teacher.network, photographs, mine)
    arrays = {"folds": folds, "labels": photographs.labels, "logits": logits}
    write_bytes_atomically(folder / LOGITS_FILE, npz_bytes(arrays))
    return logits


def answers(
    network: TaskNetwork, photographs: LabelledPhotographs, rows: np.ndarray
) -> np.ndarray:
    """Logits f32[rows, classes] of whole photographs, each as large as it is."""
    answer = answering(network)
    return np.stack([answer(photographs.image(i)) for i in rows])


def save(
    network: TaskNetwork,
    classes: tuple[str, ...],
    provenance: dict[str, Any],
    folder: Path,
) -> Teacher:
    """Writes what `load` reads; `provenance` is JSON."""
    network.eval()
    teacher = Teacher(network, _teacher_id(network), classes, provenance)
    weights = npz_bytes(named_weights(nnx.state(network)))
    write_bytes_atomically(folder / WEIGHTS_FILE, weights)
    write_json_atomically(
        folder / SPEC_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "teacher_id": teacher.teacher_id,
            "network": kind_of(network.spec),
            "spec": network.spec.to_dict(),
            "classes": list(classes),
            "provenance": provenance,
        },
    )
    return teacher


def load(folder: Path) -> Teacher:
    """A saved teacher.

    Raises:
      ConfigError: no teacher there, or one of another version.
      StorageError: its files do not belong together.
    """
    if not (folder / SPEC_FILE).is_file():
        raise ConfigError(f"a teacher is a folder with {SPEC_FILE}", folder)
    stored = read_json(folder / SPEC_FILE)
    if stored["schema_version"] != SCHEMA_VERSION:
        raise ConfigError(
            f"this program reads teachers of version {SCHEMA_VERSION}",
            stored["schema_version"],
        )
    spec = spec_of(stored["network"], stored["spec"])
    try:
        with np.load(io.BytesIO((folder / WEIGHTS_FILE).read_bytes())) as file:
            network = with_weights(build(spec, ParameterFactory(None)), dict(file))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error
    if _teacher_id(network) != stored["teacher_id"]:
        raise _damaged(folder, f"weights of {_teacher_id(network)}")
    return Teacher(
        network, stored["teacher_id"], tuple(stored["classes"]), stored["provenance"]
    )


def recipe_of(teacher: Teacher) -> TeacherSpec:
    """The spec that it is of; that of a classifier where it is from before others."""
    return TeacherSpec.from_dict(teacher.provenance.get("teacher", {}))


def _teacher_id(network: TaskNetwork) -> str:
    content = {"spec": network.spec.identity(), "weights": weights_sha256(network)}
    return content_id("teacher", content)


def _damaged(folder: Path, found: object) -> StorageError:
    return StorageError(
        f"the files of the teacher in {folder} belong together",
        found,
        "copy the folder again",
    )
