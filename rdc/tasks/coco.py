"""Photographs with boxes, from a file in COCO's format."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.errors import DataError
from rdc.tasks.checks import (
    Progress,
    check_files,
    check_none_without,
    facts_of,
    no_progress,
)


@dataclass(frozen=True)
class BoxAnnotation:
    """A thing in a photograph, as the file has it.

    Attributes:
      box: left, top, width, height in pixels; annotators overrun the border.
      category_id: of the file; see `BoxedPhotographs.category_ids`.
      is_crowd: a region that holds many: no miss and no false alarm lies in it.
    """

    box: tuple[float, float, float, float]
    area_px: float
    category_id: int
    is_crowd: bool


@dataclass(frozen=True)
class BoxedPhotographs:
    """Photographs of one file with what is annotated in them.

    Attributes:
      names: of the files below `folder`, in the order of their ids.
      sizes_px: height and width of each.
      annotations: of each.
      category_ids: of the classes, in their order; a file's ids have gaps.
    """

    folder: Path
    names: tuple[str, ...]
    sizes_px: tuple[tuple[int, int], ...]
    annotations: tuple[tuple[BoxAnnotation, ...], ...]
    category_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """u8[H,W,3]; raises as `rdc.data.images.read_image`."""
        return read_image(self.path(i))

    def path(self, i: int) -> Path:
        """Of its file."""
        return self.folder / self.names[i]

    @property
    def classes(self) -> tuple[str, ...]:
        """The ids of the categories."""
        return tuple(map(str, self.category_ids))

    def boxes(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """What a network learns: boxes f32[n,4] and their classes i32[n].

        Boxes are left, top, right, bottom, cut at the border. Crowds and boxes without
        area, which COCO has some of, are left out.
        """
        classes = {category_id: n for n, category_id in enumerate(self.category_ids)}
        kept = [
            (cut, classes[each.category_id])
            for each in self.annotations[i]
            if not each.is_crowd and _area(cut := _cut(each.box, self.sizes_px[i])) > 0
        ]
        boxes = np.asarray([box for box, _ in kept], np.float32).reshape(-1, 4)
        return boxes, np.asarray([label for _, label in kept], np.int32)

    @property
    def data_sha256(self) -> str:
        """Of photographs and annotations, 64 hex digits; names do not count.

        Only files that are new or changed are read.
        """
        facts = facts_of(self.folder, self.names)
        each = sorted(
            f"{known.sha256} {annotations}"
            for known, annotations in zip(facts, self.annotations, strict=True)
        )
        return hashlib.sha256(f"{self.category_ids} {each}".encode()).hexdigest()


def boxed_photographs(
    folder: str | Path,
    annotations: str | Path,
    category_ids: Sequence[int] | None = None,
) -> BoxedPhotographs:
    """Reads the photographs in `folder` that a file in COCO's format annotates.

    Args:
      category_ids: of a task network's classes, in their order: `range(91)` for
        torchvision's weights, whose classes are COCO's ids, gaps included. None for
        the file's own.

    Raises:
      DataError: no such file, annotations without photograph or the reverse, a
        category that is not known, boxes that lie outside their photograph.
    """
    folder, path = Path(folder).expanduser(), Path(annotations).expanduser()
    names, sizes, categories, found = _parsed(path)
    there = {file.relative_to(folder).as_posix() for file in list_images(folder)}
    listed = {*names.values()}
    check_none_without(f"has photographs in {folder}", path, listed - there)
    check_none_without(f"names the photographs in {folder}", path, there - listed)
    known = tuple(sorted(categories) if category_ids is None else category_ids)
    of_image: dict[int, list[BoxAnnotation]] = {i: [] for i in sorted(names)}
    for image_id, annotation in found:
        if image_id not in names:
            raise DataError(
                f"annotations in {path} are of its photographs", f"one of {image_id}"
            )
        if annotation.category_id not in categories & {*known}:
            raise DataError(
                f"annotations in {path} are of categories that the file and the "
                "network have",
                f"one of category {annotation.category_id}",
                "take a network of these categories, or leave the annotations out",
            )
        _check_box(annotation.box, sizes[image_id], f"{path}, photograph {image_id}")
        of_image[image_id].append(annotation)
    if all(annotation.is_crowd for _, annotation in found):
        raise DataError(f"{path} annotates a thing that is no crowd", "none")
    return BoxedPhotographs(
        folder,
        tuple(names[i] for i in of_image),
        tuple(sizes[i] for i in of_image),
        tuple(map(tuple, of_image.values())),
        known,
    )


def check_boxed(
    photographs: BoxedPhotographs, progress: Progress = no_progress
) -> None:
    """Decodes every photograph.

    Args:
      progress: as of `rdc.tasks.checks.facts_of`.

    Raises:
      DataError: one is corrupt, a grey file, or of another size than was annotated.
    """
    names = photographs.names
    facts = facts_of(photographs.folder, names, True, progress)
    check_files(names, facts)
    for name, known, size in zip(names, facts, photographs.sizes_px, strict=True):
        if (known.height_px, known.width_px) != size:
            raise DataError(
                "a photograph has the size that its annotations state",
                f"{known.width_px} x {known.height_px} for {size[1]} x {size[0]} of "
                f"{name}",
                "copy the files of one set",
            )


def _parsed(
    path: Path,
) -> tuple[
    dict[int, str],
    dict[int, tuple[int, int]],
    set[int],
    list[tuple[int, BoxAnnotation]],
]:
    """Names and sizes of photographs by their ids, categories, annotations."""
    try:
        content = json.loads(path.read_bytes())
        images, entries = content["images"], content["annotations"]
        names = {int(image["id"]): str(image["file_name"]) for image in images}
        sizes = {int(v["id"]): (int(v["height"]), int(v["width"])) for v in images}
        categories = {int(category["id"]) for category in content["categories"]}
        found = [(int(entry["image_id"]), _annotation(entry)) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is a JSON file with COCO's images, annotations and categories",
            f"{type(error).__name__}: {error}",
        ) from None
    if len({*names.values()}) != len(images):
        raise DataError(
            f"{path} names each photograph once, with an id of its own",
            f"{len({*names.values()})} of {len(images)}",
        )
    return names, sizes, categories, found


def _annotation(entry: dict[str, Any]) -> BoxAnnotation:
    left, top, width, height = (float(n) for n in entry["bbox"])
    return BoxAnnotation(
        box=(left, top, width, height),
        area_px=float(entry.get("area", width * height)),
        category_id=int(entry["category_id"]),
        is_crowd=bool(entry.get("iscrowd", 0)),
    )


def _check_box(
    box: tuple[float, float, float, float], size_px: tuple[int, int], where: str
) -> None:
    _, _, width, height = box
    sound = all(map(math.isfinite, box)) and min(width, height) >= 0
    outside = width * height > 0 and _area(_cut(box, size_px)) == 0
    if not sound or outside:
        raise DataError(
            f"boxes lie in their photograph of {size_px[1]} x {size_px[0]} pixels",
            f"{list(box)} in {where}",
            "annotations are left, top, width, height in pixels of this file",
        )


def _cut(
    box: tuple[float, float, float, float], size_px: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom inside the photograph."""
    left, top, width, height = box
    return (
        min(max(left, 0), size_px[1]),
        min(max(top, 0), size_px[0]),
        min(max(left + width, 0), size_px[1]),
        min(max(top + height, 0), size_px[0]),
    )


def _area(box: tuple[float, float, float, float]) -> float:
    left, top, right, bottom = box
    return max(right - left, 0) * max(bottom - top, 0)
