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
from PIL import Image

from rdc.codec.exported import named_weights, weights_sha256, with_weights
from rdc.errors import ConfigError, StorageError
from rdc.identity import content_id
from rdc.layers import ParameterFactory
from rdc.specs.base import require
from rdc.system.arrays import npz_bytes
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically
from rdc.tasks.labelled import LabelledPhotographs, stratified_folds
from rdc.tasks.networks import TaskNetwork, answering, build, kind_of, spec_of
from rdc.tasks.resnet import ResNet, ResNetSpec
from rdc.tasks.training import TaskRecipe, train_network

SPEC_FILE, WEIGHTS_FILE, LOGITS_FILE = "teacher.json", "weights.npz", "logits.npz"
SCHEMA_VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe(TaskRecipe):
    """How a teacher is trained from scratch.

    Attributes:
      crop_px: side of the squares that a batch is made of.
      least_crop: share of a photograph's short side that a square has at least,
        before it is scaled to `crop_px`; the largest has all of it.
    """

    batch: int = 32
    crop_px: int = 128
    least_crop: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.crop_px >= 32, "crop_px is 32 or more", self.crop_px)
        require(
            0 < self.least_crop <= 1,
            "least_crop is a share, over 0",
            self.least_crop,
        )


@dataclass(frozen=True)
class Teacher:
    """A trained task network.

    Attributes:
      teacher_id: 16 hex digits of spec and weights.
      classes: what the classes of its answers stand for, in their order.
      provenance: how it came to be; kept as it is.
    """

    network: TaskNetwork
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
    """A teacher of the photographs `rows`; see `rdc.tasks.training.train_network`.

    Raises:
      ConfigError: a network of other classes than the photographs'.
      DivergedError: see `rdc.training.fit.fit`.
    """
    if spec.classes != len(photographs.classes):
        raise ConfigError(
            f"the photographs have {len(photographs.classes)} classes, as the network",
            spec.classes,
        )

    def batch_of(
        chosen: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        crops = [_crop(photographs.image(i), recipe, random) for i in chosen]
        return np.stack(crops).astype(np.float32) / 255, photographs.labels[chosen]

    network = ResNet(spec, ParameterFactory(recipe.fit.seed))
    return train_network(
        network, _cross_entropy, batch_of, photographs, rows, recipe, checkpoints
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
            "recipe": recipe.to_dict(),
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
    # Teachers that were saved before other tasks came do not say what they are.
    spec = spec_of(stored.get("network", "resnet"), stored["spec"])
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


def _teacher_id(network: TaskNetwork) -> str:
    content = {"spec": network.spec.identity(), "weights": weights_sha256(network)}
    return content_id("teacher", content)


def _damaged(folder: Path, found: object) -> StorageError:
    return StorageError(
        f"the files of the teacher in {folder} belong together",
        found,
        "copy the folder again",
    )


def _cross_entropy(network: ResNet, batch: Any, _key: jax.Array) -> jax.Array:
    x, labels = batch
    found = jax.nn.log_softmax(network(x))
    return -jnp.take_along_axis(found, labels[:, None], 1).mean()


def _crop(
    image: np.ndarray, recipe: TeacherRecipe, random: np.random.Generator
) -> np.ndarray:
    """A random square, scaled to `crop_px`, maybe mirrored: u8[crop_px,crop_px,3]."""
    height, width, _ = image.shape
    side = round(min(height, width) * random.uniform(recipe.least_crop, 1))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    square = Image.fromarray(image[top : top + side, left : left + side])
    size = (recipe.crop_px, recipe.crop_px)
    scaled = np.asarray(square.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    return scaled[:, ::-1] if random.integers(2) else scaled
