"""Labelled photographs: both layouts, folds, and what is refused before it costs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.errors import ConfigError, DataError
from rdc.tasks.labelled import (
    LabelledPhotographs,
    answered_rows,
    check_photographs,
    drawn_rows,
    labelled_photographs,
    learned_rows,
    stratified_folds,
)

CLASSES = ("daisy", "tulips")


def folder_of(root: Path, counts: tuple[int, int] = (2, 1)) -> Path:
    random = np.random.default_rng(0)
    for name, count in zip(CLASSES, counts, strict=True):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (8, 9, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def write_labels(root: Path, rows: list[tuple[str, str, str]]) -> None:
    with open(root / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "label_id"), *rows])


ROWS = [
    ("daisy/0.png", "daisy", "1"),
    ("daisy/1.png", "daisy", "1"),
    ("tulips/0.png", "tulips", "0"),
]


def test_both_layouts(tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    folders = labelled_photographs(root)
    assert folders.names == ("daisy/0.png", "daisy/1.png", "tulips/0.png")
    assert (folders.classes, folders.labels.tolist()) == (CLASSES, [0, 0, 1])
    assert folders.image(2).shape == (8, 9, 3)
    write_labels(root, ROWS)
    listed = labelled_photographs(root)
    assert listed.classes == ("tulips", "daisy")
    assert listed.labels.tolist() == [1, 1, 0]
    assert listed.data_sha256 != folders.data_sha256
    check_photographs(listed, ("tulips", "daisy"))
    with pytest.raises(DataError, match="teacher's, in its order: daisy, tulips"):
        check_photographs(listed, CLASSES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:2], "has labels for its photographs; got 1 without: tulips/0.png"),
        ([*ROWS, ("x.png", "daisy", "1")], "photographs for its labels.*x.png"),
        ([*ROWS, ROWS[0]], "names a file once; got 1 twice"),
        ([*ROWS[:2], ("tulips/0.png", "tulips", "1")], "each label one label_id"),
        ([*ROWS[:2], ("tulips/0.png", "tulips", "4")], "without gaps"),
        ([*ROWS[:2], ("tulips/0.png", "tulips", "x")], "is a whole number"),
    ],
)
def test_lists_that_contradict_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, str]], message: str
) -> None:
    root = folder_of(tmp_path)
    write_labels(root, rows)
    with pytest.raises(DataError, match=message):
        labelled_photographs(root)


def test_folders_that_contradict_are_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="a class has photographs"):
        labelled_photographs(root)
    (root / "daisy/0.png").rename(root / "loose.png")
    with pytest.raises(DataError, match=r"itself: loose\.png"):
        labelled_photographs(root)
    (root / "labels.csv").write_text("file,label\n")
    with pytest.raises(DataError, match="no label_id"):
        labelled_photographs(root)


def test_grey_and_corrupt_photographs_are_refused(tmp_path: Path) -> None:
    photographs = labelled_photographs(folder_of(tmp_path))
    path = tmp_path / "daisy/1.png"
    whole = path.read_bytes()
    Image.open(path).convert("L").save(path)
    with pytest.raises(DataError, match=r"1 grey ones: daisy/1\.png"):
        check_photographs(photographs)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="can be decoded"):
        check_photographs(photographs)


def test_folds_are_even_and_hang_on_names_alone() -> None:
    names = tuple(f"{label}/{i}" for label in "ab" for i in range(12))
    labels = np.repeat(np.arange(2, dtype=np.int32), 12)
    photographs = LabelledPhotographs(Path(), names, labels, CLASSES)
    folds = stratified_folds(photographs)
    for label in (0, 1):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert sorted(counts) == [2, 2, 2, 3, 3]
    order = np.random.default_rng(0).permutation(24)
    shuffled = LabelledPhotographs(
        Path(), tuple(names[i] for i in order), labels[order], CLASSES
    )
    np.testing.assert_array_equal(stratified_folds(shuffled), folds[order])
    assert (np.diff(folds[:12]) != 1).any()  # hashes, not the order of names
    with pytest.raises(DataError, match="12 of daisy"):
        stratified_folds(photographs, 13)
    with pytest.raises(ConfigError, match="two folds or more; got 1"):
        stratified_folds(photographs, 1)


def test_what_is_answered_was_not_learned_unless_it_is_a_test_set() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int32), 12)
    names = tuple(f"{i}" for i in range(24))
    photographs = LabelledPhotographs(Path(), names, labels, CLASSES)
    answered = [answered_rows(photographs, fold, 5) for fold in range(5)]
    assert sorted(np.concatenate(answered)) == list(range(24))
    for fold, own in enumerate(answered):
        assert not {*own} & {*learned_rows(photographs, fold, 5)}
    assert len(answered_rows(photographs, 0, 1)) == 24


def test_photographs_are_drawn_by_their_names() -> None:
    names = tuple(f"{i}" for i in range(24))
    labels = np.zeros(24, np.int32)
    photographs = LabelledPhotographs(Path(), names, labels, CLASSES[:1])
    few, more = (drawn_rows(photographs, count) for count in (5, 9))
    assert {*few} < {*more}
    assert few.tolist() != [0, 1, 2, 3, 4]
    assert drawn_rows(photographs, 99).tolist() == list(range(24))
