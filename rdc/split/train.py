"""Trains a split method into a folder; goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from rdc.codec.exported import weights_sha256
from rdc.data.image_sets import data_sha256
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.identity import content_id
from rdc.layers import ParameterFactory
from rdc.split.base import Front, SplitMethod, with_tail_of
from rdc.split.folders import (
    SPEC_FILE,
    MethodSpec,
    Networks,
    load,
    networks_of,
    read_spec,
    save,
)
from rdc.split.losses import (
    EndToEnd,
    Server,
    end_to_end_loss,
    reduction_loss,
    stage_one_loss,
    stage_two_loss,
)
from rdc.split.placement import Placement, PlacementSpec
from rdc.split.recipes import (
    EndToEndRecipe,
    Phase,
    Recipe,
    ReductionRecipe,
    StudentRecipe,
)
from rdc.split.reduction import Reduction
from rdc.split.reduction_networks import ReductionSpec
from rdc.split.student import STAGE, Student
from rdc.split.student_networks import StudentSpec
from rdc.tasks.labelled import LabelledPhotographs
from rdc.tasks.squares import squares
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, FitRecipe, Loss, Trained, fit
from rdc.training.statistics import settled

# What can be trained how.
_RECIPES: dict[type[MethodSpec], tuple[type[Recipe], ...]] = {
    StudentSpec: (StudentRecipe, EndToEndRecipe),
    PlacementSpec: (EndToEndRecipe,),
    ReductionSpec: (ReductionRecipe,),
}


@dataclass(frozen=True)
class TrainingImages:
    """What a training sees.

    Attributes:
      rows: of the photographs; others stay unseen.
      unlabelled: files that trainings without labels see, too.
    """

    photographs: LabelledPhotographs
    rows: np.ndarray
    unlabelled: Sequence[Path] = ()

    def __len__(self) -> int:
        """With and without labels."""
        return len(self.rows) + len(self.unlabelled)

    def image(self, i: int) -> np.ndarray:
        """Of all, u8[H,W,3]: those with labels come first."""
        if i < len(self.rows):
            return self.photographs.image(self.rows[i])
        return read_image(self.unlabelled[i - len(self.rows)])

    def identity(self) -> dict[str, Any]:
        return {
            "photographs": self.photographs.data_sha256,
            "rows": self.rows.tolist(),
            "unlabelled": data_sha256(self.unlabelled) if self.unlabelled else None,
        }


def train(
    spec: MethodSpec,
    recipe: Recipe,
    teacher: Any,
    images: TrainingImages,
    folder: Path,
    seed: int = 0,
) -> SplitMethod:
    """A trained method, which `rdc.split.folders.load` reads from `folder`.

    What is there of the same training is taken: the method, or the newest checkpoint.

    Args:
      teacher: a network as `rdc.tasks.resnet.ResNet`; it stays as it is.

    Raises:
      ConfigError: what does not belong together, said before anything is trained.
      DivergedError: see `rdc.training.fit.fit`.
    """
    _check(spec, recipe, teacher)
    run = {
        "spec": spec.identity(),
        "recipe": [type(recipe).__name__, recipe.identity()],
        "teacher": weights_sha256(teacher),
        "images": images.identity(),
        "seed": seed,
    }
    run_id = content_id("split_training", run)
    if (folder / SPEC_FILE).is_file():
        if read_spec(folder)["provenance"].get("run_id") != run_id:
            raise ConfigError(
                "a folder holds one training of a split method",
                f"another one in {folder}",
                "take another folder",
            )
        return load(folder, teacher)
    training = _Training(recipe, teacher, images, folder / "checkpoints", run_id, seed)
    networks, changed = training.trained(networks_of(spec, ParameterFactory(seed)))
    name, setting = _described(spec, recipe)
    method = networks.method(teacher if changed is None else changed, setting, name)
    save(networks, method, folder, teacher, changed, {"run_id": run_id, **run})
    return load(folder, teacher)


def _check(spec: MethodSpec, recipe: Recipe, teacher: Any) -> None:
    known = _RECIPES[type(spec)]
    if not isinstance(recipe, known):
        names = " or ".join(each.__name__ for each in known)
        raise ConfigError(
            f"a method of {type(spec).__name__} is trained by {names}",
            type(recipe).__name__,
        )
    if isinstance(spec, PlacementSpec):
        stage, channels = spec.stage, spec.channels
    else:
        stage, channels = STAGE, spec.feature_channels
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


def _described(spec: MethodSpec, recipe: Recipe) -> tuple[str, str]:
    """(name, setting) of the method."""
    if isinstance(recipe, ReductionRecipe):
        assert isinstance(spec, ReductionSpec)
        return "reduction", f"channels={spec.bottleneck_channels}"
    setting = f"beta={recipe.beta:g}"
    if isinstance(spec, PlacementSpec):
        return "placement", f"stage={spec.stage},{setting}"
    assert isinstance(spec, StudentSpec)
    name = "student" if isinstance(recipe, StudentRecipe) else "end_to_end"
    return name if spec.hyper_channels is None else f"{name}_mshp", setting


@dataclass(frozen=True)
class _Batches:
    """The batches of a phase by the number of their step, with labels or without."""

    images: TrainingImages
    recipe: Recipe
    phase: Phase
    seed: int
    labelled: bool

    @property
    def fit_recipe(self) -> FitRecipe:
        return self.phase.fit_recipe(self._count, self.seed)

    @property
    def _count(self) -> int:
        return len(self.images.rows) if self.labelled else len(self.images)

    def __call__(self, step: int) -> Batch:
        random = np.random.default_rng([self.seed, step])
        chosen = random.choice(self._count, self.phase.batch)
        images, recipe = map(self.images.image, chosen), self.recipe
        x = squares(images, recipe.crop_px, recipe.least_crop, random)
        if not self.labelled:
            return x
        return x, self.images.photographs.labels[self.images.rows[chosen]]


class _Training:
    """One run: what it sees, and where its checkpoints are."""

    def __init__(
        self,
        recipe: Recipe,
        teacher: Any,
        images: TrainingImages,
        checkpoints: Path,
        run_id: str,
        seed: int,
    ):
        self._recipe, self._teacher, self._images = recipe, teacher, images
        self._checkpoints, self._run_id, self._seed = checkpoints, run_id, seed

    def trained(self, networks: Networks) -> tuple[Networks, Any]:
        """(networks, the teacher with what was trained of it; None: nothing was)."""
        recipe = self._recipe
        if isinstance(recipe, StudentRecipe):
            assert isinstance(networks, Student)
            return self._student(networks, recipe)
        if isinstance(recipe, EndToEndRecipe):
            assert isinstance(networks, Student | Placement)
            return self._end_to_end(networks, recipe)
        assert isinstance(networks, Reduction)
        return self._reduction(networks, recipe), None

    def _student(self, student: Student, recipe: StudentRecipe) -> tuple[Student, Any]:
        teacher = self._teacher
        batches = self._batches(recipe.stage_one, labelled=False)
        loss = stage_one_loss(teacher, recipe.beta)
        student = self._fit(student, loss, batches, "stage_one")
        batches = self._batches(recipe.stage_two, labelled=True)
        loss = stage_two_loss(student, teacher)
        server = Server(student.decoder, teacher)
        server = self._fit(server, loss, batches, "stage_two")
        student.decoder = server.decoder
        return student, with_tail_of(teacher, server.tail.teacher, STAGE + 1)

    def _end_to_end(
        self, networks: Student | Placement, recipe: EndToEndRecipe
    ) -> tuple[Networks, Any]:
        teacher = self._teacher
        if recipe.from_scratch:
            trained = type(teacher)(teacher.spec, ParameterFactory(self._seed))
        else:
            trained = nnx.clone(teacher)
        module = EndToEnd(networks, trained)
        module.train()
        batches = self._batches(recipe.training, labelled=True)
        module = self._fit(module, end_to_end_loss(recipe.beta), batches, "end_to_end")
        noise = jax.random.key(self._seed)
        module = self._settled(
            module, lambda module, batch: module(batch[0], noise), batches
        )
        if isinstance(networks, Placement):
            return module.networks, module.teacher
        return module.networks, with_tail_of(teacher, module.teacher, STAGE + 1)

    def _reduction(self, networks: Reduction, recipe: ReductionRecipe) -> Reduction:
        networks.train()
        batches = self._batches(recipe.training, labelled=False)
        loss = reduction_loss(self._teacher)
        networks = self._fit(networks, loss, batches, "reduction")
        return self._settled(
            networks, lambda networks, x: networks.decoder(networks.encoder(x)), batches
        )

    def _batches(self, phase: Phase, labelled: bool) -> _Batches:
        return _Batches(self._images, self._recipe, phase, self._seed, labelled)

    def _fit(
        self, module: Trained, loss: Loss, batches: _Batches, name: str
    ) -> Trained:
        saved = Checkpoints(self._checkpoints / name, [], self._run_id)
        return fit(module, loss, batches, batches.fit_recipe, saved)

    def _settled(
        self, module: Trained, forward: Callable[[Any, Batch], Any], batches: _Batches
    ) -> Trained:
        return settled(module, forward, batches, batches.fit_recipe.steps)
