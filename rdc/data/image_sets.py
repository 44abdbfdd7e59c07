"""Sets of images named by a folder, a list file or `bundled:train|eval`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rdc.data.bundled import SPLITS, bundled_images
from rdc.data.image_facts import KnownImages
from rdc.data.images import checked_size_px, read_image
from rdc.errors import DataError

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_SKIPPED_SHARE = 0.05
_BUNDLED = "bundled"

# A set by the name of its source, or the files themselves.
Images = str | Path | Sequence[str | Path]

_log = logging.getLogger(__name__)


def list_images(source: Images) -> list[Path]:
    """The image files of a set, in a fixed order.

    Args:
      source: the paths of the files; or a folder (searched to all depths in sorted
        order; hidden files and folders are ignored), a `.txt` file with one path a
        line, relative to its own folder (blank lines and lines that begin with # are
        ignored), `bundled:train` or `bundled:eval`.

    Raises:
      DataError: nothing there, no images in it, or a list that names missing files.
    """
    if not isinstance(source, str | Path):
        return _existing([Path(path) for path in source], "a list of images")
    split = _bundled_split(source)
    if split is not None:
        return bundled_images(split)
    path = Path(source).expanduser()
    if path.is_dir():
        return _list_folder(path)
    if path.is_file() and path.suffix == ".txt":
        return _list_file(path)
    found = f"{source} is another kind of file" if path.exists() else f"no {source}"
    raise DataError(
        "an image set is a folder, a .txt list of files, or bundled:train|eval",
        found,
        "check the path; relative ones start at the present folder",
    )


def dataset_name(source: str | Path) -> str:
    """Short name of a set: the stem of its folder or list, or "bundled"."""
    if _bundled_split(source) is not None:
        return _BUNDLED
    path = Path(source).expanduser().resolve()
    return path.stem if path.suffix == ".txt" else path.name


def data_sha256(source: Images) -> str:
    """Content hash of a set, 64 hex digits.

    Only the bytes of the files count: neither their names nor their folders nor
    their order, so a moved or renamed copy is the same data.
    """
    if isinstance(source, KnownImages):
        return source.data_sha256
    digests = sorted(file_sha256(path) for path in list_images(source))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def file_sha256(path: Path) -> bytes:
    """Content hash of one file, 32 bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def image_files(images: Images) -> Sequence[Path]:
    """As `list_images`; of files with their facts, these."""
    return images if isinstance(images, KnownImages) else list_images(images)


def usable_images(
    paths: Sequence[Path], min_side_px: int
) -> tuple[Sequence[Path], list[Path]]:
    """Splits `paths` into (usable, skipped) for training on crops.

    No file is opened of which the facts are known, and those that stay are known, too.

    Skipped are images that are unreadable, cut off, or smaller than `min_side_px`;
    one warning names them.

    Raises:
      DataError: over 5 % of the images (and more than one) are skipped, or all.
    """
    usable: list[int] = []
    problems: dict[Path, str] = {}
    for index, (side_px, problem) in enumerate(_sides(paths)):
        if side_px >= min_side_px and not problem:
            usable.append(index)
        else:
            path = paths[index]
            problems[path] = problem or f"{path} has a side of {side_px} pixels"
    if problems:
        listing = first_few(problems.values())
        if not usable or too_many_skipped(len(problems), len(paths)):
            raise DataError(
                f"training images can be read and are at least {min_side_px} pixels "
                "high and wide (one, or 5 % of them, may fail)",
                f"{len(problems)} of {len(paths)} that are not: {listing}",
                "remove them, or choose a smaller train.crop_px",
            )
        _log.warning(
            "skipped %d of %d training images: %s", len(problems), len(paths), listing
        )
    if isinstance(paths, KnownImages):
        return paths.only(usable), list(problems)
    return [paths[index] for index in usable], list(problems)


def _sides(paths: Sequence[Path]) -> Iterator[tuple[int, str]]:
    """Of each file the shorter side in pixels, or why it has none."""
    if isinstance(paths, KnownImages):
        yield from ((facts.side_px, facts.problem) for facts in paths.facts)
        return
    for path in paths:
        try:
            yield min(checked_size_px(path)), ""
        except DataError as error:
            yield 0, str(error)


def too_many_skipped(skipped: int, images: int) -> bool:
    """One image may always fail, and 5 % of a larger set."""
    return skipped > max(1, MAX_SKIPPED_SHARE * images)


def readable_images(source: Images) -> Iterator[tuple[Path, np.ndarray]]:
    """(path, u8[H,W,3]) of every image of a set that can be read.

    The others are named in the log.

    Raises:
      DataError: the set is empty, or at its end none could be read.
    """
    found = False
    for path in image_files(source):
        try:
            image = read_image(path)
        except DataError as error:
            _log.warning("skipped: %s", error)
            continue
        found = True
        yield path, image
    if not found:
        where = source if isinstance(source, str | Path) else "the list"
        raise DataError("an image set holds readable images", f"none in {where}")


def first_few(items: Iterable[str], count: int = 5) -> str:
    """For messages: the first `count` items, and how many more there are."""
    items = list(items)
    more = f"; and {len(items) - count} more" if len(items) > count else ""
    return "; ".join(items[:count]) + more


def _bundled_split(source: str | Path) -> str | None:
    kind, colon, split = str(source).partition(":")
    if kind != _BUNDLED or (not colon and Path(source).exists()):
        return None
    if split not in SPLITS:
        raise DataError(
            "the bundled image sets are bundled:train and bundled:eval", source
        )
    return split


def _list_folder(folder: Path) -> list[Path]:
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise DataError(
            "an image folder holds images",
            f"none in {folder}",
            f"known endings are {', '.join(IMAGE_SUFFIXES)}",
        )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _list_file(path: Path) -> list[Path]:
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError("a list of images is UTF-8 text", path) from error
    names = [line for line in lines if line and not line.startswith("#")]
    return _existing([path.parent / name for name in names], str(path))


def _existing(files: list[Path], where: str) -> list[Path]:
    """`files`, named by `where`; `DataError` unless there are some and all exist."""
    if not files:
        raise DataError("a list of images names at least one", f"none in {where}")
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(
            f"the files that {where} names exist",
            f"{len(missing)} of {len(files)} missing: {first_few(missing)}",
            "relative paths in a file are relative to its folder, others to the "
            "present one",
        )
    return files
