"""Every trained method on a dozen pictures: learns, is kept, answers from bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from rdc.errors import ConfigError
from rdc.layers import BatchNorm, ParameterFactory
from rdc.split import recipes
from rdc.split.folders import SPEC_FILE, MethodSpec, load, read_spec
from rdc.split.placement import PlacementSpec
from rdc.split.recipes import (
    EndToEndRecipe,
    Phase,
    Recipe,
    ReductionRecipe,
    StudentRecipe,
)
from rdc.split.reduction_networks import ReductionSpec
from rdc.split.student_networks import StudentSpec
from rdc.split.train import TrainingImages, stage_channels, train
from rdc.tasks.labelled import labelled_photographs
from tests.unit.rdc.split.teacher import CHANNELS, SmallTeacher

PHASE = Phase(epochs=20, batch=8, learning_rate=0.01)
SQUARES: dict[str, Any] = {"crop_px": 32, "least_crop": 0.9}
STUDENT = StudentSpec.before(CHANNELS, encoder_channels=(6, 5), latent_channels=4)
CASES: dict[str, tuple[MethodSpec, Recipe]] = {
    "student": (
        STUDENT,
        StudentRecipe(
            beta=0.01,
            stage_one=PHASE,
            stage_two=PHASE,
            **SQUARES,
        ),
    ),
    "end_to_end_mshp": (
        replace(STUDENT, hyper_channels=3),
        EndToEndRecipe(
            beta=1e-5,
            training=replace(PHASE, decay="cosine", weight_decay=1e-4),
            **SQUARES,
        ),
    ),
    "placement": (
        PlacementSpec(stage=2, channels=CHANNELS),
        EndToEndRecipe(beta=1e-5, training=PHASE, from_scratch=False, **SQUARES),
    ),
    "reduction": (
        ReductionSpec.before(CHANNELS, 4, bottleneck_channels=2),
        ReductionRecipe(training=PHASE, **SQUARES),
    ),
}


@dataclass(frozen=True)
class CountedImages(TrainingImages):
    """Says what was asked for."""

    asked: list[int] = field(default_factory=list)

    def image(self, i: int) -> np.ndarray:
        self.asked.append(i)
        return super().image(i)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CountedImages:
    """Reddish and bluish noise, and some of neither."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    tints = {"blue": (0, 0, 200), "red": (200, 0, 0), "unlabelled": (0, 90, 0)}
    for name, tint in tints.items():
        folder = root / name if name == "unlabelled" else root / "labelled" / name
        folder.mkdir(parents=True)
        for i in range(6):
            pixels = random.integers(0, 50, (32, 32, 3)) + tint
            Image.fromarray(pixels.astype("u1")).save(folder / f"{i}.png")
    labelled = labelled_photographs(root / "labelled")
    unlabelled = sorted((root / "unlabelled").iterdir())
    return CountedImages(labelled, np.arange(12)[1:], unlabelled[:5])


class NormalisedTeacher(SmallTeacher):
    """With statistics in its tail, which a training from scratch has to set."""

    def __init__(self, spec: None = None, parameters: ParameterFactory | None = None):
        super().__init__(spec, parameters)
        self.bn2 = BatchNorm(ParameterFactory(0), CHANNELS)

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        x = super().stage(i, x)
        return self.bn2(x) if i == 2 else x


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where trainings lie, a folder each: who asks again gets what is there."""
    return tmp_path_factory.mktemp("trainings")


TEACHER = NormalisedTeacher()


def trained(name: str, images: CountedImages, place: Path) -> Any:
    spec, recipe = CASES[name]
    train(spec, recipe, TEACHER, images, place / name, seed=3)
    assert read_spec(place / name)["provenance"]["seed"] == 3
    method = load(place / name, TEACHER)
    assert method.name == name
    return method


@pytest.mark.parametrize("name", ["student", "end_to_end_mshp", "placement"])
def test_a_trained_method_answers_from_bytes(
    name: str, images: CountedImages, place: Path
) -> None:
    images.asked.clear()
    method = trained(name, images, place)
    assert (max(images.asked) < len(images.rows)) == (name != "student")
    photographs = images.photographs
    streams = [method.encode(photographs.image(i)) for i in range(len(photographs))]
    found = [int(method.answer(data).argmax()) for data in streams]
    assert np.mean(found == photographs.labels) > 0.8
    assert np.all(TEACHER.bn2.running_mean[...] == 0)


def test_a_trained_reduction_restores_features(
    images: CountedImages, place: Path
) -> None:
    method = trained("reduction", images, place)
    assert max(images.asked) >= len(images.rows)
    errors, squares = [], []
    for i in range(6):
        image = images.image(i)
        x = image[None].astype(np.float32) / 255
        wanted = np.asarray(TEACHER.stage(1, TEACHER.stem(x)))
        found = method.decode_features(method.encode(image))
        errors.append(np.square(found - wanted).mean())
        squares.append(np.square(wanted).mean())
    assert np.mean(errors) < 0.5 * np.mean(squares)


def test_a_training_goes_on(images: CountedImages, place: Path) -> None:
    """From the checkpoints of both stages, and from the method itself."""
    first = trained("student", images, place)
    images.asked.clear()
    assert trained("student", images, place).method_id == first.method_id
    (place / "student" / SPEC_FILE).unlink()
    again = trained("student", images, place)
    assert images.asked == []
    photograph = images.photographs.image(0)
    data = first.encode(photograph)
    assert again.encode(photograph) == data
    np.testing.assert_array_equal(again.answer(data), first.answer(data))
    with pytest.raises(ConfigError, match="one training of a split method"):
        train(*CASES["student"], TEACHER, images, place / "student", seed=1)


def test_what_does_not_belong_together_is_refused(
    images: CountedImages, tmp_path: Path
) -> None:
    assert stage_channels(TEACHER, 4) == CHANNELS
    with pytest.raises(ConfigError, match="trained by EndToEndRecipe; got Student"):
        train(
            PlacementSpec(stage=1, channels=CHANNELS),
            CASES["student"][1],
            TEACHER,
            images,
            tmp_path,
        )
    spec = StudentSpec.before(256)
    with pytest.raises(ConfigError, match="8 channels of the teacher's stage 1; got 2"):
        train(spec, CASES["student"][1], TEACHER, images, tmp_path)
    assert not any(tmp_path.iterdir())


def test_recipes_count_in_epochs() -> None:
    phase = Phase(epochs=10, batch=64, tenths_after=(5, 8))
    fitted = phase.fit_recipe(600, seed=1)
    assert (fitted.steps, fitted.checkpoint_steps, fitted.seed) == (100, 50, 1)
    assert fitted.tenths_at == (0.5, 0.8)
    with pytest.raises(ConfigError, match="tenths_after are epochs between 0 and 10"):
        Phase(epochs=10, batch=64, tenths_after=(10,))
    with pytest.raises(ConfigError, match="beta is positive"):
        StudentRecipe(beta=0)


def test_published_recipes_have_the_steps_of_imagenet() -> None:
    images = 1_281_167
    student = recipes.student(0.08)
    assert student.stage_one.steps(images) == 10 * 20_019
    fitted = student.stage_two.fit_recipe(images, seed=0)
    assert (fitted.optimizer, fitted.weight_decay) == ("sgd", 5e-4)
    assert fitted.steps == 10 * 10_010
    assert fitted.tenths_at == (0.5,)
    assert recipes.end_to_end(1e-8).training.steps(images) == 60 * 5_005
    assert recipes.placement(1e-8).training.fit_recipe(images, 0).tenths_at == (
        0.5,
        0.8,
    )
    assert recipes.reduction().training.fit_recipe(images, 0).tenths_at == (
        0.25,
        0.5,
        0.75,
    )


def test_short_recipes_have_the_form_of_the_published_ones() -> None:
    """Other steps alone: optimisers, decays and what is trained are the same."""
    for name in ("student", "end_to_end", "placement", "reduction"):
        beta = () if name == "reduction" else (0.5,)
        published = getattr(recipes, name)(*beta)
        short = getattr(recipes, f"{name}_mini")(*beta)
        assert form(short) == form(published)


def form(recipe: Recipe) -> list[Any]:
    phases = [v for v in vars(recipe).values() if isinstance(v, Phase)]
    scratch = getattr(recipe, "from_scratch", None)
    return [scratch] + [
        (p.optimizer, p.decay, p.weight_decay, p.learning_rate) for p in phases
    ]
