"""A tiny teacher on a dozen pictures: it learns, goes on, is kept, answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.errors import ConfigError, StorageError
from rdc.layers import ParameterFactory
from rdc.specs.tasks import OptimizerSpec, TaskRecipe, TeacherSpec
from rdc.split.base import Tail, front_bits
from rdc.system.files import read_json, write_json_atomically
from rdc.tasks.labelled import LabelledPhotographs, labelled_photographs
from rdc.tasks.resnet import ResNet
from rdc.tasks.teachers import SPEC_FILE, WEIGHTS_FILE, load, out_of_fold, save


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> LabelledPhotographs:
    """Reddish and bluish noise."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name, tint in (("blue", (0, 0, 90)), ("red", (90, 0, 0))):
        (root / name).mkdir()
        for i in range(6):
            pixels = random.integers(0, 120, (40, 44, 3)) + tint
            Image.fromarray(pixels.astype("u1")).save(root / name / f"{i}.png")
    return labelled_photographs(root)


def spec(steps: int) -> TeacherSpec:
    """Of two folds of a dozen pictures."""
    recipe = TaskRecipe(
        epochs=steps * 8 / 6,
        batch=8,
        crop_px=48,
        optimizer=OptimizerSpec(learning_rate=0.01, tenths_at=(0.5,)),
    )
    return TeacherSpec(widths=(4, 4, 4, 8), recipe=recipe)


NETWORK = spec(1).network(classes=2)


@pytest.fixture(scope="module")
def trained(
    photographs: LabelledPhotographs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("teachers")
    return folder, out_of_fold(photographs, spec(24), folder, fold_count=2)


def test_photographs_are_answered_out_of_fold(
    photographs: LabelledPhotographs, trained: tuple[Path, np.ndarray]
) -> None:
    folder, logits = trained
    assert (logits.argmax(1) == photographs.labels).mean() > 0.8
    stored = np.load(folder / "logits.npz")
    np.testing.assert_array_equal(stored["logits"], logits)
    first, second = load(folder / "fold0"), load(folder / "fold1")
    assert first.teacher_id != second.teacher_id
    assert first.classes == ("blue", "red")
    for fold, teacher in enumerate((first, second)):
        i = int(np.flatnonzero(stored["folds"] == fold)[0])
        x = photographs.image(i)[None].astype(np.float32) / 255
        np.testing.assert_allclose(
            np.asarray(Tail(teacher.network, 0)(x))[0], logits[i], rtol=1e-3, atol=1e-4
        )


def test_teachers_that_are_there_are_taken(
    photographs: LabelledPhotographs, trained: tuple[Path, np.ndarray]
) -> None:
    folder, logits = trained
    again = out_of_fold(photographs, spec(24), folder, fold_count=2)
    np.testing.assert_array_equal(again, logits)
    with pytest.raises(ConfigError, match="one recipe and set of photographs"):
        out_of_fold(photographs, spec(25), folder, fold_count=2)


def test_statistics_are_not_written_by_answers(
    trained: tuple[Path, np.ndarray],
) -> None:
    network = load(trained[0] / "fold0").network
    before = np.array(network.layer4[0].bn2.running_var[...])
    assert not np.allclose(before, 1, rtol=0.01)
    network(np.ones((1, 32, 32, 3), np.float32))
    np.testing.assert_array_equal(network.layer4[0].bn2.running_var[...], before)
    stem = 7 * 7 * 3 * 4 + 4 * 4  # a BatchNorm has four values a channel
    assert front_bits(network, 1) == 32 * (stem + 2 * (9 * 4 * 4 + 4 * 4))


def test_what_does_not_belong_together_is_refused(
    photographs: LabelledPhotographs, tmp_path: Path
) -> None:
    save(ResNet(NETWORK, ParameterFactory(0)), photographs.classes, {}, tmp_path / "a")
    save(ResNet(NETWORK, ParameterFactory(1)), photographs.classes, {}, tmp_path / "b")
    other = (tmp_path / "b" / WEIGHTS_FILE).read_bytes()
    for damaged in (other, other[:-50]):
        (tmp_path / "a" / WEIGHTS_FILE).write_bytes(damaged)
        with pytest.raises(StorageError, match="belong together"):
            load(tmp_path / "a")
    path = tmp_path / "b" / SPEC_FILE
    stored = read_json(path)
    write_json_atomically(path, {**stored, "network": "transformer"})
    with pytest.raises(ConfigError, match="unknown kind of task network"):
        load(tmp_path / "b")
    with pytest.raises(ConfigError, match=r"a folder with teacher\.json"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="crop_px is 32 or more"):
        TaskRecipe(epochs=1, crop_px=8)
