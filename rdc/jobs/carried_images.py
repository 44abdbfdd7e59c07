"""Image sets that travel with OUT, for machines without a copy of their own.

the store      images/<sha256[:2]>/<sha256>         each image once
scratch        carried/<data_sha256>/<set>/<name>   the set, as it was planned
               carried/<data_sha256>/manifest.json  written last
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rdc.data.image_facts import KnownImages
from rdc.data.manifest import Manifest
from rdc.errors import StorageError
from rdc.system.files import write_bytes_atomically, write_json_atomically
from rdc.system.store import Store, StoreError

_PREFIX = "images"
_AT_ONCE = 16
MANIFEST_NAME = "manifest.json"


def carried_folder(scratch: Path, data_sha256: str, name: str) -> Path:
    """Where a machine unpacks a set; its manifest lies beside this folder."""
    return scratch / "carried" / data_sha256 / name


def image_key(sha256: str) -> str:
    """Of one image in the store."""
    return f"{_PREFIX}/{sha256[:2]}/{sha256}"


def upload(store: Store, images: KnownImages, told: Callable[[int, int], None]) -> None:
    """Takes the images to the store that it does not have.

    Args:
      told: hears how many of how many are there.

    Raises:
      StorageError: the store fails, or a file is not what it was.
    """
    there = set(store.list(f"{_PREFIX}/"))
    wanted = {
        facts.sha256: path
        for path, facts in zip(images, images.facts, strict=True)
        if image_key(facts.sha256) not in there
    }

    def take(item: tuple[str, Path]) -> None:
        sha256, path = item
        store.write(image_key(sha256), path.read_bytes())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(take, wanted.items()), 1):
            told(done, len(wanted))


def bring(store: Store, manifest: Manifest, folder: Path) -> None:
    """Unpacks a set on this machine, once for all its processes.

    Raises:
      StorageError: the store fails or lacks an image, or the disk is full.
    """
    beside = folder.parent / MANIFEST_NAME
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if beside.exists():
            return
        names = [_inside(name) for name in manifest.names]

        def fetch(item: tuple[str, str]) -> None:
            name, sha256 = item
            found = store.read(image_key(sha256))
            if found is None:
                raise StoreError(
                    "the images of a sweep with data.carry=true stay in its OUT",
                    f"no {store.url}/{image_key(sha256)}",
                    "start the same command again, which brings them back",
                )
            write_bytes_atomically(folder / name, found.data, durable=False)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(fetch, zip(names, manifest.sha256, strict=True)):
                pass
        inside = Manifest(
            names,
            manifest.bytes,
            manifest.sha256,
            manifest.height_px,
            manifest.width_px,
        )
        write_json_atomically(beside, inside.to_dict(), durable=False)


def _inside(name: str) -> str:
    """A path below the set's folder, for one of a list that names files beside it."""
    parts = ["up" if part == ".." else part for part in Path(name).parts]
    if Path(name).is_absolute() or not parts:
        raise StorageError("names in a manifest are relative", name)
    return "/".join(parts)
