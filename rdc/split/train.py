"""Trains a split method into a folder; goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from flax import nnx

from rdc.codec.exported import weights_sha256
from rdc.data.image_cache import CachedImages, cached_images
from rdc.data.image_sets import data_sha256
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.identity import content_id
from rdc.layers import ParameterFactory
from rdc.specs.tasks import FitRecipe, TaskRecipe
from rdc.split.base import Front, SplitMethod, with_tail_of
from rdc.split.folders import (
    SPEC_FILE,
    Networks,
    load,
    load_networks,
    networks_of,
    read_spec,
    save,
)
from rdc.split.losses import (
    EndToEnd,
    Server,
    decoder_loss,
    end_to_end_loss,
    reduction_loss,
    stage_one_loss,
    stage_two_loss,
)
from rdc.split.network_specs import PlacementSpec
from rdc.split.placement import Placement
from rdc.split.reduction import Reduction
from rdc.split.specs import (
    EndToEndMethod,
    PlacementMethod,
    ReductionMethod,
    StudentMethod,
    TrainedMethod,
)
from rdc.split.student import STAGE, Student
from rdc.tasks.base import Task
from rdc.tasks.networks import task_of
from rdc.tasks.photographs import Photographs, decoded
from rdc.tasks.squares import squares
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, Loss, Progress, Trained, fit
from rdc.training.statistics import settled

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainingImages:
    """What a training sees.

    Attributes:
      rows: of the photographs; others stay unseen.
      unlabelled: files that trainings without labels see, too.
      pixels: of these, where they were decoded before.
    """

    photographs: Photographs
    rows: np.ndarray
    unlabelled: Sequence[Path] = ()
    pixels: CachedImages | None = None

    def decoded(self) -> Self:
        """The same ones, decoded once for all processes, as far as there is room."""
        return replace(
            self,
            photographs=decoded(self.photographs),
            pixels=cached_images(self.unlabelled),
        )

    def __len__(self) -> int:
        """With and without labels."""
        return len(self.rows) + len(self.unlabelled)

    def image(self, i: int) -> np.ndarray:
        """Of all, u8[H,W,3]: those with labels come first."""
        if i < len(self.rows):
            return self.photographs.image(self.rows[i])
        other = i - len(self.rows)
        found = None if self.pixels is None else self.pixels[other]
        return read_image(self.unlabelled[other]) if found is None else found

    def identity(self) -> dict[str, Any]:
        return {
            "photographs": self.photographs.data_sha256,
            "rows": self.rows.tolist(),
            "unlabelled": data_sha256(self.unlabelled) if self.unlabelled else None,
        }


def trained(
    spec: TrainedMethod,
    teacher: Any,
    images: TrainingImages,
    folder: Path,
    seed: int = 0,
    checkpoints: Path | None = None,
    earlier: Sequence[Path] = (),
    progress: Progress | None = None,
    encoder: Path | None = None,
) -> SplitMethod:
    """A trained method, which `rdc.split.folders.load` reads from `folder`.

    What is there of the same training is taken: the method, or the newest checkpoint.

    Args:
      teacher: a network as `rdc.tasks.resnet.ResNet`; it stays as it is.
      checkpoints: a folder for each part of the training; left out, below `folder`.
      earlier: such folders to go on from, newest last.
      progress: is told of the checkpoints of each part.
      encoder: folder of a student whose encoder and prior are taken and stay, of
        whatever teacher: one stream serves both tasks.

    Raises:
      ConfigError: what does not belong together, said before anything is trained.
      DivergedError: see `rdc.training.fit.fit`.
    """
    _check(spec, teacher)
    run = {
        "method": spec.identity(),
        "teacher": weights_sha256(teacher),
        "images": images.identity(),
        "seed": seed,
    }
    taken = None
    if encoder is not None:
        taken = _student_like(spec, encoder)
        run["encoder"] = read_spec(encoder)["method_id"]
    run_id = content_id("split_training", run)
    if (folder / SPEC_FILE).is_file():
        if read_spec(folder)["provenance"].get("run_id") != run_id:
            raise ConfigError(
                "a folder holds one training of a split method",
                f"another one in {folder}",
                "take another folder",
            )
        return load(folder, teacher)
    places = [*earlier, checkpoints or folder / CHECKPOINTS]
    training = _Training(teacher, images.decoded(), places, run_id, seed, progress)
    start = networks_of(spec.networks, ParameterFactory(seed))
    if taken is not None:
        assert isinstance(start, Student)
        start.encoder, start.prior = taken.encoder, taken.prior
    networks, changed = training.trained(start, spec, taken is not None)
    method = networks.method(
        teacher if changed is None else changed, spec.setting, spec.title
    )
    save(networks, method, folder, teacher, changed, {"run_id": run_id, **run})
    return load(folder, teacher)


def _student_like(spec: TrainedMethod, folder: Path) -> Student:
    """The student in a folder, which has the networks of a method."""
    found = load_networks(folder)
    if not isinstance(spec, StudentMethod) or found.spec != spec.networks:
        raise ConfigError(
            f"{spec.title} takes the encoder of a student of equal networks",
            f"{read_spec(folder)['kind']} {found.spec.to_dict()} in {folder}",
        )
    assert isinstance(found, Student)
    return found


def _check(spec: TrainedMethod, teacher: Any) -> None:
    networks = spec.networks
    if isinstance(networks, PlacementSpec):
        stage, channels = networks.stage, networks.channels
    else:
        stage, channels = STAGE, networks.feature_channels
    found = stage_channels(teacher, stage)
    if channels != found:
        raise ConfigError(
            f"the method has the {found} channels of the teacher's stage {stage}",
            channels,
        )


def stage_channels(teacher: Any, stage: int) -> int:
    """Of a teacher's stage."""
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    return jax.eval_shape(Front(teacher, stage), x).shape[-1]


@dataclass(frozen=True)
class _Batches:
    """The batches of a training by the number of their step.

    Attributes:
      task: whose batches they are; None: photographs alone, with labels or without.
    """

    images: TrainingImages
    recipe: TaskRecipe
    seed: int
    task: Task | None = None

    @property
    def fit_recipe(self) -> FitRecipe:
        return self.recipe.fit(self._count, self.seed)

    @property
    def _count(self) -> int:
        return len(self.images) if self.task is None else len(self.images.rows)

    def __call__(self, step: int) -> Batch:
        images, recipe = self.images, self.recipe
        random = np.random.default_rng([self.seed, step])
        chosen = random.choice(self._count, recipe.batch)
        if self.task is None:
            return squares(map(images.image, chosen), recipe, random)
        rows = images.rows[chosen]
        return self.task.batch(images.photographs, rows, recipe, random)


class _Training:
    """One run: what it sees, and where its checkpoints are, those of now last."""

    def __init__(
        self,
        teacher: Any,
        images: TrainingImages,
        places: Sequence[Path],
        run_id: str,
        seed: int,
        progress: Progress | None,
    ):
        self._teacher, self._images = teacher, images
        self._places, self._run_id, self._seed = places, run_id, seed
        self._progress = progress
        self._task = task_of(teacher.spec)

    def trained(
        self, networks: Networks, spec: TrainedMethod, has_encoder: bool
    ) -> tuple[Networks, Any]:
        """(networks, the teacher with what was trained of it; None: nothing was).

        Args:
          has_encoder: and prior, which stay.
        """
        if isinstance(spec, StudentMethod):
            assert isinstance(networks, Student)
            return self._student(networks, spec, has_encoder)
        if isinstance(spec, ReductionMethod):
            assert isinstance(networks, Reduction)
            return self._reduction(networks, spec), None
        assert isinstance(networks, Student | Placement)
        return self._end_to_end(networks, spec)

    def _student(
        self, student: Student, spec: StudentMethod, has_encoder: bool
    ) -> tuple[Student, Any]:
        teacher = self._teacher
        batches = self._batches(spec.distillation)
        if has_encoder:
            loss = decoder_loss(student, teacher)
            student.decoder = self._fit(student.decoder, loss, batches, "stage_one")
        else:
            loss = stage_one_loss(teacher, spec.beta)
            student = self._fit(student, loss, batches, "stage_one")
        batches = self._batches(spec.fine_tuning, self._task)
        loss = stage_two_loss(student, teacher)
        server = Server(student.decoder, teacher)
        server = self._fit(server, loss, batches, "stage_two")
        student.decoder = server.decoder
        return student, with_tail_of(teacher, server.tail.teacher, STAGE + 1)

    def _end_to_end(
        self, networks: Student | Placement, spec: EndToEndMethod | PlacementMethod
    ) -> tuple[Networks, Any]:
        """From scratch, or of a placement from the teacher."""
        teacher = self._teacher
        if isinstance(networks, Student):
            start = type(teacher)(teacher.spec, ParameterFactory(self._seed))
        else:
            start = nnx.clone(teacher)
        module = EndToEnd(networks, start)
        module.train()
        batches = self._batches(spec.recipe, self._task)
        loss = end_to_end_loss(teacher, spec.beta)
        module = self._fit(module, loss, batches, "end_to_end")
        noise = jax.random.key(self._seed)
        module = self._settled(
            module, lambda module, batch: module(batch[0], noise), batches
        )
        if isinstance(networks, Placement):
            return module.networks, module.teacher
        return module.networks, with_tail_of(teacher, module.teacher, STAGE + 1)

    def _reduction(self, networks: Reduction, spec: ReductionMethod) -> Reduction:
        networks.train()
        batches = self._batches(spec.recipe)
        loss = reduction_loss(self._teacher)
        networks = self._fit(networks, loss, batches, "reduction")
        return self._settled(
            networks, lambda networks, x: networks.decoder(networks.encoder(x)), batches
        )

    def _batches(self, recipe: TaskRecipe, task: Task | None = None) -> _Batches:
        return _Batches(self._images, recipe, self._seed, task)

    def _fit(
        self, module: Trained, loss: Loss, batches: _Batches, name: str
    ) -> Trained:
        *earlier, own = (place / name for place in self._places)
        saved = Checkpoints(own, earlier, self._run_id)
        recipe = batches.fit_recipe
        return fit(module, loss, batches, recipe, saved, self._progress)

    def _settled(
        self, module: Trained, forward: Callable[[Any, Batch], Any], batches: _Batches
    ) -> Trained:
        return settled(module, forward, batches, batches.fit_recipe.steps)
