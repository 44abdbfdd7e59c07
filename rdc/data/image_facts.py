"""What is known of image files without opening them again: their hashes and sides.

A table per set in the user's cache holds what was read of each file, with its size and
the time of its change; a file where these are others is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from rdc.data.images import checked_size_px, is_grey, read_image
from rdc.errors import DataError, StorageError
from rdc.identity import content_id
from rdc.system.files import write_bytes_atomically
from rdc.system.user_cache import user_cache_folder

_AT_ONCE = 10_000  # files that wait for a thread, of some 2 kB each (tracemalloc)
Stamp = tuple[int, int]  # bytes, and when it was changed, in ns


@dataclass(frozen=True)
class ImageFacts:
    """One image file.

    Attributes:
      sha256: of its bytes, 64 hex digits.
      height_px, width_px: as stored, before any rotation; 0 where it cannot be read.
      problem: why it cannot be read; empty where it can. Damage amid a file is known
        where it was decoded.
      is_grey: whether it stores no colours; None: it was not decoded.
    """

    bytes: int
    sha256: str
    height_px: int
    width_px: int
    problem: str = ""
    is_grey: bool | None = None

    @property
    def side_px(self) -> int:
        """The shorter one."""
        return min(self.height_px, self.width_px)

    @property
    def decoded_bytes(self) -> int:
        return self.height_px * self.width_px * 3


class KnownImages(Sequence[Path]):
    """The files of a set, in its order, with what is known of each.

    Args:
      names: their paths, as text: of 100 000, that is a second less at each start.
    """

    def __init__(self, names: Iterable[str], facts: Iterable[ImageFacts]):
        self.names, self.facts = list(names), list(facts)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> KnownImages: ...
    def __getitem__(self, index: int | slice) -> Path | KnownImages:
        if isinstance(index, slice):
            return KnownImages(self.names[index], self.facts[index])
        return Path(self.names[index])

    def only(self, wanted: Iterable[int]) -> KnownImages:
        """Those with these indices."""
        indices = list(wanted)
        return KnownImages(
            (self.names[i] for i in indices), (self.facts[i] for i in indices)
        )

    @property
    def data_sha256(self) -> str:
        """That of the set; see `rdc.data.image_sets.data_sha256`."""
        digests = sorted(bytes.fromhex(facts.sha256) for facts in self.facts)
        return hashlib.sha256(b"".join(digests)).hexdigest()


class FactTable:
    """Facts of the files of one set on this machine.

    Args:
      name: of the set; each has a file of its own.
      folder: of the tables; None: in the user's cache.
    """

    def __init__(self, name: str, folder: Path | None = None):
        folder = folder or user_cache_folder() / "image_facts"
        self._path = folder / f"{content_id('image set', name)}.json"

    def of(
        self,
        names: Sequence[str],
        decoded: bool = False,
        progress: Callable[[int, int], None] = lambda done, count: None,
    ) -> list[ImageFacts | None]:
        """Facts of each file, by its path; None where there is none.

        What was read before an interruption is kept.

        Args:
          decoded: each file was decoded once, as it is now.
          progress: is told how many files were read, of how many to be read.
        """
        known = self._read()
        stamps = [_stamp(name) for name in names]
        fresh = [
            (name, stamp)
            for name, stamp in zip(names, stamps, strict=True)
            if stamp is not None and not _fits(known.get(name), stamp, decoded)
        ]
        try:
            with ThreadPoolExecutor() as pool:
                for start in range(0, len(fresh), _AT_ONCE):
                    some = fresh[start : start + _AT_ONCE]
                    read = pool.map(lambda file: _read_facts(file[0], decoded), some)
                    both = zip(some, read, strict=True)
                    for done, ((name, stamp), facts) in enumerate(both, start + 1):
                        known[name] = _row(stamp, facts)
                        progress(done, len(fresh))
        finally:
            if fresh:
                self._write({name: known[name] for name in names if name in known})
        return [
            None if stamp is None else _facts(known[name])
            for name, stamp in zip(names, stamps, strict=True)
        ]

    def _read(self) -> dict[str, list]:
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._path.read_bytes())
            if isinstance(known, dict):
                return known
        return {}

    def _write(self, known: dict[str, list]) -> None:
        with contextlib.suppress(StorageError):  # files are read again, then
            write_bytes_atomically(self._path, json.dumps(known).encode(), False)


def _stamp(name: str) -> Stamp | None:
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


# A row of a table: stamp, hash, sides, problem; of a decoded file, whether it is grey.
_READ, _DECODED = 6, 7


def _fits(row: list | None, stamp: Stamp, decoded: bool) -> bool:
    lengths = (_DECODED,) if decoded else (_READ, _DECODED)
    return row is not None and len(row) in lengths and (row[0], row[1]) == stamp


def _row(stamp: Stamp, facts: ImageFacts) -> list:
    row = [*stamp, facts.sha256, facts.height_px, facts.width_px, facts.problem]
    return row if facts.is_grey is None else [*row, facts.is_grey]


def _facts(row: list) -> ImageFacts:
    size, _, sha256, height_px, width_px, problem, *is_grey = row
    return ImageFacts(size, sha256, height_px, width_px, problem, *is_grey)


def _read_facts(name: str, decoded: bool) -> ImageFacts:
    with open(name, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    grey = False if decoded else None
    try:
        height_px, width_px = checked_size_px(Path(name))
        if decoded:
            read_image(Path(name))
            grey = is_grey(Path(name))
    except DataError as error:
        return ImageFacts(size, sha256, 0, 0, str(error), grey)
    return ImageFacts(size, sha256, height_px, width_px, "", grey)
