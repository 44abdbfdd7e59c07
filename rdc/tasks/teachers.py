"""Teachers: trained here on labelled photographs, kept as folders."""

from __future__ import annotations

import io
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, weights_sha256, with_weights
from rdc.errors import ConfigError, StorageError
from rdc.identity import content_id
from rdc.layers import ParameterFactory
from rdc.specs.base import Spec, require
from rdc.system.arrays import npz_bytes
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically
from rdc.tasks.labelled import LabelledPhotographs, stratified_folds
from rdc.tasks.resnet import ResNet, ResNetSpec
from rdc.tasks.squares import check_squares, squares
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import FitRecipe, fit
from rdc.training.statistics import settled

SPEC_FILE, WEIGHTS_FILE, LOGITS_FILE = "teacher.json", "weights.npz", "logits.npz"
SCHEMA_VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe(Spec):
    """How a teacher is trained from scratch.

    Attributes:
      crop_px, least_crop: of the squares of a batch, see `rdc.tasks.squares`.
    """

    fit: FitRecipe
    batch: int = 32
    crop_px: int = 128
    least_crop: float = 0.5

    def __post_init__(self) -> None:
        require(self.batch >= 2, "batch is two or more", self.batch)
        check_squares(self.crop_px, self.least_crop)


@dataclass(frozen=True)
class Teacher:
    """A trained task network.

    Attributes:
      teacher_id: 16 hex digits of spec and weights.
      classes: what its logits stand for, in their order.
      provenance: how it came to be; kept as it is.
    """

    network: ResNet
    teacher_id: str
    classes: tuple[str, ...]
    provenance: dict[str, Any]


def train(
    photographs: LabelledPhotographs,
    rows: np.ndarray,
    spec: ResNetSpec,
    recipe: TeacherRecipe,
    checkpoints: Path,
) -> ResNet:
    """A teacher of the photographs `rows`; goes on from its newest checkpoint.

    Raises:
      ConfigError: a network of other classes than the photographs'.
      DivergedError: see `rdc.training.fit.fit`.
    """
    if spec.classes != len(photographs.classes):
        raise ConfigError(
            f"the photographs have {len(photographs.classes)} classes, as the network",
            spec.classes,
        )
    run = {
        "data": photographs.data_sha256,
        "rows": rows.tolist(),
        "network": spec.identity(),
        "recipe": recipe.identity(),
    }
    network = ResNet(spec, ParameterFactory(recipe.fit.seed))
    network.train()

    def batch_of(step: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([recipe.fit.seed, step])
        chosen = random.choice(rows, recipe.batch)
        images = (photographs.image(i) for i in chosen)
        x = squares(images, recipe.crop_px, recipe.least_crop, random)
        return x, photographs.labels[chosen]

    saved = Checkpoints(checkpoints, [], content_id("teacher_run", run))
    network = fit(network, _loss, batch_of, recipe.fit, saved)
    return settled(
        network, lambda network, batch: network(batch[0]), batch_of, recipe.fit.steps
    )


def out_of_fold(
    photographs: LabelledPhotographs,
    spec: ResNetSpec,
    recipe: TeacherRecipe,
    folder: Path,
    fold_count: int = 5,
) -> np.ndarray:
    """Logits f32[count, classes], of each photograph by a teacher that never saw it.

    Teacher i, which `load` reads from `folder`/fold{i}, learns all folds but fold i of
    `stratified_folds`. Teachers and checkpoints that are there are taken.
    """
    folds = stratified_folds(photographs, fold_count)
    logits = np.empty((len(photographs), spec.classes), np.float32)
    for fold in range(fold_count):
        place, mine = folder / f"fold{fold}", np.flatnonzero(folds == fold)
        provenance = {
            "data_sha256": photographs.data_sha256,
            "fold": fold,
            "fold_count": fold_count,
            "recipe": recipe.identity(),
        }
        if (place / SPEC_FILE).is_file():
            teacher = load(place)
            if (teacher.provenance, teacher.network.spec) != (provenance, spec):
                raise ConfigError(
                    "teachers in a folder are of one recipe and set of photographs",
                    f"another one in {place}",
                    "take another folder",
                )
        else:
            _log.info("teacher %d of %d", fold + 1, fold_count)
            rows = np.flatnonzero(folds != fold)
            network = train(photographs, rows, spec, recipe, place / "checkpoints")
            teacher = save(network, photographs.classes, provenance, place)
        logits[mine] = answers(teacher.network, photographs, mine)
    arrays = {"folds": folds, "labels": photographs.labels, "logits": logits}
    write_bytes_atomically(folder / LOGITS_FILE, npz_bytes(arrays))
    return logits


def answers(
    network: ResNet, photographs: LabelledPhotographs, rows: np.ndarray
) -> np.ndarray:
    """Logits f32[rows, classes] of whole photographs, each as large as it is."""
    graph, state = nnx.split(network)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    images = (photographs.image(i)[None].astype(np.float32) / 255 for i in rows)
    return np.concatenate([np.asarray(run(state, image)) for image in images])


def save(
    network: ResNet,
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
    spec = ResNetSpec.from_dict(stored["spec"])
    try:
        with np.load(io.BytesIO((folder / WEIGHTS_FILE).read_bytes())) as file:
            network = with_weights(ResNet(spec, ParameterFactory(None)), dict(file))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error
    if _teacher_id(network) != stored["teacher_id"]:
        raise _damaged(folder, f"weights of {_teacher_id(network)}")
    return Teacher(
        network, stored["teacher_id"], tuple(stored["classes"]), stored["provenance"]
    )


def _teacher_id(network: ResNet) -> str:
    content = {"spec": network.spec.identity(), "weights": weights_sha256(network)}
    return content_id("teacher", content)


def _damaged(folder: Path, found: object) -> StorageError:
    return StorageError(
        f"the files of the teacher in {folder} belong together",
        found,
        "copy the folder again",
    )


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over the batch, in nats."""
    found = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(found, labels[:, None], 1).mean()


def _loss(network: ResNet, batch: Any, _key: jax.Array) -> jax.Array:
    x, labels = batch
    return cross_entropy(network(x), labels)
