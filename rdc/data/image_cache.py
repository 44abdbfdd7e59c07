"""Decoded images in one memory-mapped file, made once and shared by all processes.

    FOLDER/<key>.pixels     u8[H,W,3] of every image, one after the other
    FOLDER/<key>.json       where each is, and the checksum of the whole

The key is a hash of the images' bytes and of the decoder. The pixels appear before the
manifest and each at once, so that a build that was cut off leaves no cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
from rich.console import Console
from rich.progress import track

from rdc.data.image_facts import KnownImages
from rdc.data.image_sets import file_sha256
from rdc.data.images import decoded_bytes, read_image
from rdc.errors import DataError, DiskFullError, StorageError
from rdc.system.files import read_json, storage_error, write_json_atomically
from rdc.system.user_cache import user_cache_folder

CACHE_BYTES = 4 << 30  # of all sets in the folder together
FREE_BYTES = 1 << 30  # left on the disk for others
_LAYOUT = f"1, pillow {PIL.__version__}"
_CHUNK_BYTES = 1 << 22
_log = logging.getLogger(__name__)

Place = tuple[int, int, int]  # offset in bytes, height and width in pixels


class CachedImages:
    """Image i of a list as u8[H,W,3], read-only, or None where it is damaged."""

    def __init__(self, path: Path, places: Sequence[Place | None]):
        self._path, self._places = path, places
        self._pixels = np.asarray(np.memmap(path, np.uint8, "r"))

    def __getitem__(self, index: int) -> np.ndarray | None:
        place = self._places[index]
        if place is None:
            return None
        offset, height, width = place
        pixels = self._pixels[offset : offset + height * width * 3]
        return pixels.reshape(height, width, 3)

    def __reduce__(self) -> tuple:  # other processes map the file themselves
        return CachedImages, (self._path, self._places)


def cached_images(
    paths: Sequence[Path],
    folder: Path | None = None,
    max_bytes: int = CACHE_BYTES,
) -> CachedImages | None:
    """The decoded pixels of `paths`, which are decoded now where no cache holds them.

    Args:
      folder: of the caches; None: the user's.
      max_bytes: of all caches in it; the least recently used ones give way.

    Returns:
      None where they are over `max_bytes` or cannot be kept, which the log says.
    """
    folder = folder or user_cache_folder() / "images"
    try:
        size = _decoded_bytes(paths, max_bytes)
        if size > max_bytes:
            _log.info(
                "images are decoded at each use: over the %.1f GiB of the cache",
                max_bytes / 2**30,
            )
            return None
        if size == 0:
            return None
        digests = _digests(paths)
        identity = [_LAYOUT.encode(), *sorted(set(digests))]
        key = hashlib.sha256(b"".join(identity)).hexdigest()[:32]
        path = folder / f"{key}.pixels"
        found = _opened(path, digests)
        if found is not None:
            return found
        with _only_builder(folder):
            found = _opened(path, digests)  # another process was faster
            if found is not None:
                return found
            path.unlink(missing_ok=True)  # it did not fit its manifest
            _make_room(folder, size, max_bytes)
            _build(path, dict(zip(digests, paths, strict=True)))
        return _opened(path, digests)
    except OSError as error:
        _log.warning("images are decoded at each use, not cached: %s", error)
        return None


def _digests(paths: Sequence[Path]) -> list[bytes]:
    if isinstance(paths, KnownImages):
        return [bytes.fromhex(facts.sha256) for facts in paths.facts]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(file_sha256, paths))


def _decoded_bytes(paths: Sequence[Path], enough: int) -> int:
    """Size of the decoded images, or something over `enough`."""
    if isinstance(paths, KnownImages):
        return sum(facts.decoded_bytes for facts in paths.facts)
    compressed = sum(path.stat().st_size for path in paths)
    if compressed > enough:
        return compressed
    total = 0
    for path in paths:
        with contextlib.suppress(DataError):
            total += decoded_bytes(path)
    return total


def _opened(path: Path, digests: Sequence[bytes]) -> CachedImages | None:
    """The cache at `path`, or None where there is none that is whole."""
    try:
        manifest = read_json(path.with_suffix(".json"))
        size, crc32 = path.stat().st_size, _crc32(path)
        if (size, crc32) != (manifest["bytes"], manifest["crc32"]):
            raise StorageError(
                f"{path} fits its checksum",
                f"{size} bytes, CRC {crc32:08x}",
                "it was cut or overwritten",
            )
    except FileNotFoundError:
        return None
    except StorageError as error:
        _log.warning("images are decoded and cached again: %s", error)
        path.with_suffix(".json").unlink(missing_ok=True)
        return None
    with contextlib.suppress(OSError):  # a folder of somebody else
        os.utime(path)
    places = manifest["images"]
    return CachedImages(path, [places[digest.hex()] for digest in digests])


def _crc32(path: Path) -> int:
    crc32 = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32


@contextlib.contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Waits until no other process builds a cache in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("waiting for another process that caches images in %s", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_room(folder: Path, size: int, max_bytes: int) -> None:
    """Removes remains of builds, and caches, the least recently used first."""
    for remains in folder.glob("*.tmp"):
        remains.unlink()
    used_at = {path: path.stat().st_mtime for path in folder.glob("*.pixels")}
    caches = sorted(used_at, key=used_at.__getitem__)
    total = size + sum(path.stat().st_size for path in caches)
    while caches and total > max_bytes:
        path = caches.pop(0)
        total -= path.stat().st_size
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink()  # processes that mapped it keep it until they end
    free = shutil.disk_usage(folder).free
    if free < size + FREE_BYTES:
        raise DiskFullError(
            f"caching images leaves {FREE_BYTES / 2**30:.0f} GiB of the disk free",
            f"{free / 2**30:.1f} GiB free for {size / 2**30:.1f} GiB in {folder}",
            "free some space, or set XDG_CACHE_HOME to a larger disk",
        )


def _build(path: Path, images: dict[bytes, Path]) -> None:
    temporary = path.with_suffix(".tmp")
    places: dict[str, Place | None] = {}
    offset, crc32 = 0, 0
    console = Console(stderr=True)
    try:
        with open(temporary, "wb") as file:
            for digest, image in track(
                zip(images, _decoded(list(images.values())), strict=True),
                "Caching decoded images",
                total=len(images),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            ):
                if image is None:
                    places[digest.hex()] = None
                    continue
                file.write(image.data)
                crc32 = zlib.crc32(image.data, crc32)
                places[digest.hex()] = (offset, *image.shape[:2])
                offset += image.nbytes
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    manifest = {"bytes": offset, "crc32": crc32, "images": places}
    write_json_atomically(path.with_suffix(".json"), manifest, durable=False)


def _decoded(paths: Sequence[Path]) -> Iterator[np.ndarray | None]:
    """The images in order, decoded on all cores and only a few ahead."""
    ahead = 4 * (os.cpu_count() or 1)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), ahead):
            yield from pool.map(_read_or_none, paths[start : start + ahead])


def _read_or_none(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except DataError:
        return None
