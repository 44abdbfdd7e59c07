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
from rdc.specs.task_networks import ResNetSpec
from rdc.specs.tasks import OptimizerSpec, TaskRecipe
from rdc.split import train as training
from rdc.split.folders import SPEC_FILE, load, read_spec
from rdc.split.network_specs import PlacementSpec, ReductionSpec, StudentSpec
from rdc.split.specs import (
    EndToEndMethod,
    PlacementMethod,
    ReductionMethod,
    StudentMethod,
    TrainedMethod,
)
from rdc.split.train import TrainingImages, stage_channels
from rdc.tasks.labelled import labelled_photographs
from tests.unit.rdc.split.teacher import CHANNELS, SPEC, SmallTeacher

RECIPE = TaskRecipe(
    epochs=20,
    batch=8,
    crop_px=32,
    least_crop=0.9,
    optimizer=OptimizerSpec(learning_rate=0.01, tenths_at=()),
)
STUDENT = StudentSpec.before(CHANNELS, encoder_channels=(6, 5), latent_channels=4)
METHODS: tuple[TrainedMethod, ...] = (
    StudentMethod(beta=0.01, networks=STUDENT, distillation=RECIPE, fine_tuning=RECIPE),
    EndToEndMethod(
        beta=1e-5, networks=replace(STUDENT, hyper_channels=3), recipe=RECIPE
    ),
    PlacementMethod(
        beta=1e-5,
        networks=PlacementSpec(stage=2, channels=CHANNELS),
        recipe=RECIPE,
    ),
    ReductionMethod(
        networks=ReductionSpec.before(CHANNELS, 4, bottleneck_channels=2),
        recipe=RECIPE,
    ),
)
BY_TITLE = {method.title: method for method in METHODS}


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

    def __init__(
        self, spec: ResNetSpec = SPEC, parameters: ParameterFactory | None = None
    ):
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
    training.trained(BY_TITLE[name], TEACHER, images, place / name, seed=3)
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
    without = any(i >= len(images.rows) for i in images.asked)
    assert without == (name == "student")
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
        training.trained(
            BY_TITLE["student"], TEACHER, images, place / "student", seed=1
        )


def test_what_does_not_belong_together_is_refused(
    images: CountedImages, tmp_path: Path
) -> None:
    assert stage_channels(TEACHER, 4) == CHANNELS
    spec = StudentMethod(beta=1.0, networks=StudentSpec.before(256))
    with pytest.raises(ConfigError, match="8 channels of the teacher's stage 1; got 2"):
        training.trained(spec, TEACHER, images, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_student_takes_anothers_encoder(
    images: CountedImages, place: Path, tmp_path: Path
) -> None:
    """Of another teacher, perhaps of another task: one stream serves both."""
    first, spec = trained("student", images, place), BY_TITLE["student"]
    other = SmallTeacher(parameters=ParameterFactory(5))
    found = training.trained(
        replace(spec, beta=7.0), other, images, tmp_path, encoder=place / "student"
    )
    assert found.method_id == first.method_id
    image = images.photographs.image(0)
    data = found.encode(image)
    assert data == first.encode(image)
    apart = found.decode_features(data) - first.decode_features(data)
    assert np.abs(apart).max() > 0.1
    wider = replace(spec, networks=replace(STUDENT, latent_channels=9))
    for wrong in (wider, BY_TITLE["reduction"]):
        with pytest.raises(ConfigError, match="encoder of a student of equal networks"):
            training.trained(
                wrong, other, images, tmp_path / "no", encoder=place / "student"
            )
