"""The files of an image set as they were planned, and whether a machine has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdc.data.image_facts import FactTable, ImageFacts, KnownImages
from rdc.data.image_sets import first_few, list_images
from rdc.errors import DataError, NodeError

_COLUMNS = ("names", "bytes", "sha256", "height_px", "width_px")


@dataclass(frozen=True)
class Manifest:
    """All files of a set, in its order, in columns.

    Attributes:
      names: paths below the folder of the set, or of its list.
      bytes, sha256, height_px, width_px: as in `rdc.data.image_facts.ImageFacts`.
    """

    names: Sequence[str]
    bytes: Sequence[int]
    sha256: Sequence[str]
    height_px: Sequence[int]
    width_px: Sequence[int]

    def to_dict(self) -> dict[str, Any]:
        """As `from_dict` takes it, for JSON."""
        return {name: list(getattr(self, name)) for name in _COLUMNS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        return cls(*(values[name] for name in _COLUMNS))


def known_images(
    source: str,
    decoded: bool = False,
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> KnownImages:
    """The files of a set on this machine; only new or changed ones are read.

    Args:
      decoded, progress: as of `rdc.data.image_facts.FactTable.of`.

    Raises:
      DataError: as `rdc.data.image_sets.list_images`, or a file goes meanwhile.
    """
    names = [str(path) for path in list_images(source)]
    facts = FactTable(source).of(names, decoded, progress)
    gone = [name for name, known in zip(names, facts, strict=True) if known is None]
    if gone:
        raise DataError("image files stay while they are read", f"no {gone[0]}")
    return KnownImages(names, [known for known in facts if known is not None])


def manifest_of(source: str, images: KnownImages) -> Manifest:
    """What a plan writes down of a set."""
    root = _root(source)
    names = [Path(os.path.relpath(name, root)).as_posix() for name in images.names]
    columns = ([getattr(facts, c) for facts in images.facts] for c in _COLUMNS[1:])
    return Manifest(names, *columns)


def planned_images(manifest: Manifest, source: str) -> KnownImages:
    """The planned files on this machine, which has all of them as they were.

    By size and time of change where a file was read before; new and changed ones are
    read. Files beside the planned ones do not count.

    Raises:
      NodeError: some are missing or others.
    """
    root = str(_root(source))
    names = [os.path.normpath(f"{root}/{name}") for name in manifest.names]
    found = FactTable(source).of(names)
    wrong = [
        f"{name} {_difference(facts, size)}"
        for name, facts, size, sha256 in zip(
            names, found, manifest.bytes, manifest.sha256, strict=True
        )
        if facts is None or facts.sha256 != sha256
    ]
    if wrong:
        raise NodeError(
            f"a machine that works has the planned images of {source}",
            f"{len(wrong)} of {len(names)} that are others: {first_few(wrong, 3)}",
            "copy them there; or plan again, where they were changed on purpose",
        )
    return KnownImages(names, (facts for facts in found if facts is not None))


def _difference(found: ImageFacts | None, size: int) -> str:
    if found is None:
        return "is missing"
    if found.bytes != size:
        return f"has {found.bytes} bytes, not {size}"
    return "has other bytes"


def _root(source: str) -> Path:
    """What the names of a set are relative to."""
    if source.startswith("bundled:"):
        return Path(os.path.commonpath(_folders(list_images(source))))
    path = Path(source).expanduser().absolute()
    return path.parent if path.suffix == ".txt" and not path.is_dir() else path


def _folders(paths: Sequence[Path]) -> list[Path]:
    return [path.parent for path in paths]
