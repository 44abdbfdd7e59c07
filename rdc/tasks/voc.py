"""Photographs with a class for each pixel, in the folders of PASCAL VOC."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdc.data.images import read_image, read_indices
from rdc.errors import DataError
from rdc.tasks.checks import (
    Progress,
    check_files,
    check_none_without,
    facts_of,
    no_progress,
)
from rdc.tasks.metrics import VOC_CLASSES, VOC_VOID

# Everingham et al., VOC2012: photographs with masks. Another count is another set.
PUBLISHED_COUNTS = {"train": 1464, "val": 1449}
_IMAGES, _MASKS = Path("JPEGImages"), Path("SegmentationClass")
_LISTS = Path("ImageSets/Segmentation")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskedPhotographs:
    """Photographs of a list with their masks.

    Attributes:
      folder: with `JPEGImages` and `SegmentationClass`.
      names: of the files, without their endings, in the order of the list.
      class_count: that a network of them has.
    """

    folder: Path
    names: tuple[str, ...]
    class_count: int = VOC_CLASSES

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """u8[H,W,3]; raises as `rdc.data.images.read_image`."""
        return read_image(self.path(i))

    def path(self, i: int) -> Path:
        """Of its file."""
        return self.folder / _image_file(self.names[i])

    def mask(self, i: int) -> np.ndarray:
        """Classes of the pixels, u8[H,W], 255 where none counts.

        Raises:
          DataError: no palette or grey file, or as `rdc.data.images.read_image`.
        """
        return read_indices(self.folder / _mask_file(self.names[i]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Their numbers: a folder does not say what they mean."""
        return tuple(map(str, range(self.class_count)))

    @property
    def files(self) -> list[str]:
        """Below `folder`: all photographs, then all masks."""
        return [f(name) for f in (_image_file, _mask_file) for name in self.names]

    @property
    def data_sha256(self) -> str:
        """Of photographs and masks, 64 hex digits; their names do not count.

        Only files that are new or changed are read.
        """
        hashes = [facts.sha256 for facts in facts_of(self.folder, self.files)]
        pairs = zip(hashes[: len(self)], hashes[len(self) :], strict=True)
        return hashlib.sha256("".join(sorted(map("".join, pairs))).encode()).hexdigest()


def masked_photographs(
    folder: str | Path, split: str, class_count: int = VOC_CLASSES
) -> MaskedPhotographs:
    """Reads `ImageSets/Segmentation/{split}.txt`, one name a line.

    Raises:
      DataError: no such list, or an empty one; names without photograph or mask, masks
        without photograph, a name twice.
    """
    folder = Path(folder).expanduser()
    path = folder / _LISTS / f"{split}.txt"
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "a set with masks has its list of names",
            f"{path} ({error})",
            "give the folder that holds JPEGImages, SegmentationClass and ImageSets",
        ) from None
    if not names:
        raise DataError(f"{path} names photographs", "none")
    if len(names) != len(set(names)):
        raise DataError(
            f"{path} names a photograph once", f"{len(names) - len(set(names))} twice"
        )
    images = {file.stem for file in (folder / _IMAGES).glob("*.jpg")}
    masks = {file.stem for file in (folder / _MASKS).glob("*.png")}
    listed = {*names}
    check_none_without(f"has photographs in {_IMAGES}", path, listed - images)
    check_none_without(f"has masks in {_MASKS}", path, listed - masks)
    check_none_without(f"has photographs in {_IMAGES}", folder / _MASKS, masks - images)
    published = PUBLISHED_COUNTS.get(split)
    if published not in (None, len(names)):
        _log.info("%s names %d photographs; VOC2012's %d", path, len(names), published)
    return MaskedPhotographs(folder, tuple(names), class_count)


def check_masked(
    photographs: MaskedPhotographs, progress: Progress = no_progress
) -> None:
    """Decodes every photograph and every mask.

    Args:
      progress: as of `rdc.tasks.checks.facts_of`.

    Raises:
      DataError: one is corrupt, a photograph is a grey file, a mask has another size
        than its photograph or a class that is not known.
    """
    classes, count = photographs.class_count, len(photographs)
    facts = facts_of(photographs.folder, photographs.files, True, progress)[:count]
    check_files(photographs.files[:count], facts)
    for i, name in enumerate(photographs.names):
        size, mask = (facts[i].height_px, facts[i].width_px), photographs.mask(i)
        if size != mask.shape:
            raise DataError(
                "a mask is as large as its photograph",
                f"{mask.shape[1]} x {mask.shape[0]} for {size[1]} x {size[0]} of "
                f"{name}",
                "copy the files of one set",
            )
        unknown = set(np.unique(mask).tolist()) - {*range(classes), VOC_VOID}
        if unknown:
            raise DataError(
                f"the classes of a mask are 0 to {classes - 1}, or {VOC_VOID} for void",
                f"{min(unknown)} in the mask of {name}",
                "take a network that knows it, or number the classes anew",
            )


def _image_file(name: str) -> str:
    return (_IMAGES / f"{name}.jpg").as_posix()


def _mask_file(name: str) -> str:
    return (_MASKS / f"{name}.png").as_posix()
