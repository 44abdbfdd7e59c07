"""COCO's format: categories with gaps, crowds, borders; the rest is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rdc.errors import DataError
from rdc.tasks.coco import BoxedPhotographs, boxed_photographs, check_boxed
from tests.unit.rdc.tasks.pictures import HEIGHT, WIDTH, picture, write_coco

Change = Callable[[dict[str, Any]], None]


def read(root: Path, change: Change | None = None, **options: Any) -> BoxedPhotographs:
    """What is written with a change to the file's content."""
    content = json.loads((root / "instances.json").read_text())
    if change is not None:
        change(content)
        (root / "changed.json").write_text(json.dumps(content))
    name = "instances.json" if change is None else "changed.json"
    return boxed_photographs(root / "images", root / name, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path, 3)
    return tmp_path


def box(number: int, value: list[float]) -> Change:
    return lambda content: content["annotations"][number].update(bbox=value)


def test_boxes_have_corners_and_classes_without_gaps(root: Path) -> None:
    photographs = read(root)
    check_boxed(photographs)
    assert photographs.names == ("0000.png", "0001.png", "0002.png")
    assert photographs.category_ids == (3, 7)
    left, top, width, height = picture(1)[1]
    boxes, _ = photographs.boxes(1)
    np.testing.assert_array_equal(boxes, [[left, top, left + width, top + height]])
    assert [int(photographs.boxes(i)[1][0]) for i in range(3)] == [1, 0, 1]
    # A network of torchvision's: its classes are the ids.
    known = read(root, category_ids=range(91))
    assert [int(known.boxes(i)[1][0]) for i in range(3)] == [7, 3, 7]
    assert known.data_sha256 != photographs.data_sha256


def test_what_is_no_target_is_kept_for_the_measure(root: Path) -> None:
    """Crowds, boxes without area, and what lies beyond the border."""

    def change(content: dict[str, Any]) -> None:
        first, second, third = content["annotations"]
        first["iscrowd"] = 1
        second["bbox"] = [5, 5, 0, 9]
        third["bbox"] = [-4, HEIGHT - 10, WIDTH + 10, 12.5]

    photographs = read(root, change)
    assert [len(each) for each in photographs.annotations] == [1, 1, 1]
    assert [photographs.boxes(i)[0].shape for i in range(3)] == [(0, 4), (0, 4), (1, 4)]
    cut = [[0, HEIGHT - 10, WIDTH, HEIGHT]]
    np.testing.assert_array_equal(photographs.boxes(2)[0], cut)
    assert photographs.annotations[2][0].box == (-4, HEIGHT - 10, WIDTH + 10, 12.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("categories"), "a JSON file with COCO's .* KeyError"),
        (lambda c: c["annotations"][0].pop("bbox"), "a JSON file .* KeyError: 'bbox'"),
        (box(0, [1, 2, 3]), "a JSON file .* ValueError"),
        (box(0, [WIDTH + 1, 2, 3, 3]), r"lie in their photograph of 52 x 40.*\[53"),
        (box(0, [1, 2, -3, 3]), r"lie in their photograph"),
        (box(0, [1, 2, float("nan"), 3]), r"lie in their photograph"),
        (
            lambda c: c["annotations"][1].update(category_id=4),
            "that the file and the network have; got one of category 4",
        ),
        (
            lambda c: c["annotations"][1].update(image_id=4),
            "are of its photographs; got one of 4",
        ),
        (lambda c: c["images"][0].update(id=101), "names each photograph once"),
        (
            lambda c: c["images"][0].update(file_name="x.png"),
            "has photographs in .* got 1 without: x.png",
        ),
        (
            lambda c: (c["images"].pop(), c["annotations"].pop()),
            "names the photographs in .* got 1 without: 0002.png",
        ),
        (
            lambda c: [each.update(iscrowd=1) for each in c["annotations"]],
            "annotates a thing that is no crowd; got none",
        ),
    ],
)
def test_files_that_contradict_are_refused(
    root: Path, change: Change, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(root, change)


def test_photographs_that_do_not_fit_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="one of category 7"):
        read(root, category_ids=(3, 5))
    photographs, path = read(root), root / "images/0001.png"
    stored = path.read_bytes()
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match=f"got {WIDTH + 1} x {HEIGHT} for {WIDTH} x"):
        check_boxed(photographs)

    Image.open(path).convert("L").save(path)
    with pytest.raises(DataError, match=r"1 grey ones: 0001\.png"):
        check_boxed(photographs)
    path.write_bytes(stored[:80])
    with pytest.raises(DataError, match="can be decoded"):
        check_boxed(photographs)
