"""Photographs with a class for each pixel, in the folders of PASCAL VOC."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdc.data.image_sets import data_sha256
from rdc.data.images import read_image, read_indices
from rdc.errors import DataError
from rdc.tasks.checks import check_colour_files, check_none_without
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
    """

    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        """u8[H,W,3]; raises as `rdc.data.images.read_image`."""
        return read_image(self.folder / _image_file(self.names[i]))

    def mask(self, i: int) -> np.ndarray:
        """Classes of the pixels, u8[H,W], 255 where none counts.

        Raises:
          DataError: no palette or grey file, or as `rdc.data.images.read_image`.
        """
        return read_indices(self.folder / _mask_file(self.names[i]))

    @property
    def data_sha256(self) -> str:
        """Of photographs and masks, 64 hex digits; their names do not count."""
        pairs = sorted(
            data_sha256([self.folder / _image_file(name)])
            + data_sha256([self.folder / _mask_file(name)])
            for name in self.names
        )
        return hashlib.sha256("".join(pairs).encode()).hexdigest()


def masked_photographs(folder: str | Path, split: str) -> MaskedPhotographs:
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
    return MaskedPhotographs(folder, tuple(names))


def check_masked(photographs: MaskedPhotographs, classes: int = VOC_CLASSES) -> None:
    """Decodes every photograph and every mask.

    Args:
      classes: that a task network knows.

    Raises:
      DataError: one is corrupt, a photograph is a grey file, a mask has another size
        than its photograph or a class that is not known.
    """
    check_colour_files(photographs.folder, map(_image_file, photographs.names))
    for i, name in enumerate(photographs.names):
        image, mask = photographs.image(i), photographs.mask(i)
        if image.shape[:2] != mask.shape:
            raise DataError(
                "a mask is as large as its photograph",
                f"{mask.shape[1]} x {mask.shape[0]} for {image.shape[1]} x "
                f"{image.shape[0]} of {name}",
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
