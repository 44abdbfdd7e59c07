"""The cache of decoded images: whole, damaged, contended, too large, on a full disk."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdc.data.image_cache import cached_images
from rdc.data.images import read_image
from tests.unit.rdc.data.photographs import damage, write_images

OPEN = """
import logging, resource, sys
from pathlib import Path
from rdc.data.image_cache import cached_images
logging.basicConfig(level=logging.INFO, format="%(message)s")
images, folder, limit = sys.argv[1:]
if limit != "-":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
paths = sorted(Path(images).iterdir())
cached = cached_images(paths, Path(folder))
print(None if cached is None else sum(int(cached[i].sum()) for i in range(len(paths))))
"""


def open_in_a_process(images: Path, folder: Path, limit: str = "-") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(images), str(folder), limit],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pixels_file(folder: Path) -> Path:
    (path,) = folder.glob("*.pixels")
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def assert_holds(cached, paths: list[Path]) -> None:
    for index, path in enumerate(paths):
        np.testing.assert_array_equal(cached[index], read_image(path))


def test_holds_the_decoded_images_for_reading_alone(images, folder) -> None:
    cached = cached_images(images, folder)
    assert_holds(cached, images)
    assert not cached[0].flags.writeable
    size = sum(read_image(path).nbytes for path in images)
    assert pixels_file(folder).stat().st_size == size


def test_is_built_once_for_the_same_bytes_under_any_name(images, folder) -> None:
    cached_images(images, folder)
    built = pixels_file(folder).stat().st_ino
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in images]
    assert_holds(cached_images(moved[::-1], folder), moved[::-1])
    assert pixels_file(folder).stat().st_ino == built


def test_other_bytes_are_another_cache(images, folder) -> None:
    cached_images(images, folder)
    images[0].write_bytes(images[1].read_bytes())
    assert_holds(cached_images(images, folder), images)
    assert len(list(folder.glob("*.pixels"))) == 2


@pytest.mark.parametrize("fault", ["flipped", "cut", "manifest"])
def test_a_damaged_cache_is_built_again(images, folder, fault, caplog) -> None:
    cached_images(images, folder)
    path = pixels_file(folder)
    data = bytearray(path.read_bytes())
    if fault == "flipped":
        data[1000] ^= 1
        path.write_bytes(data)
    elif fault == "cut":
        path.write_bytes(data[:-1])
    else:
        manifest = path.with_suffix(".json")
        manifest.write_text(manifest.read_text()[:100])
    assert_holds(cached_images(images, folder), images)
    assert caplog.text.count("cached again") == 1
    caplog.clear()
    assert_holds(cached_images(images, folder), images)
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", [".pixels", ".tmp"])
def test_the_remains_of_a_killed_build_are_no_cache(images, folder, suffix) -> None:
    cached_images(images, folder)
    path = pixels_file(folder)
    path.with_suffix(".json").unlink()
    path.rename(path.with_suffix(suffix)).write_bytes(b"half")
    assert_holds(cached_images(images, folder), images)
    assert not list(folder.glob("*.tmp"))


def test_a_damaged_image_has_no_pixels(images, folder) -> None:
    damage(images[2])
    for _ in range(2):  # built, opened
        cached = cached_images(images, folder)
        assert cached[2] is None
        np.testing.assert_array_equal(cached[3], read_image(images[3]))


def test_processes_that_build_at_once_agree(tmp_path, folder) -> None:
    paths = write_images(tmp_path / "images", 12, side_px=300)
    processes = [open_in_a_process(tmp_path / "images", folder) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in processes]
    expected = str(sum(int(read_image(path).sum()) for path in paths))
    assert [output.strip() for output, _ in answers] == [expected] * 3, answers
    assert len(list(folder.glob("*.pixels"))) == 1


def test_a_disk_that_takes_no_more_only_costs_the_cache(images, folder) -> None:
    """A limit on file sizes stands in for it: writing fails amid the file."""
    process = open_in_a_process(images[0].parent, folder, "20000")
    output, log = process.communicate(timeout=60)
    assert output.strip() == "None"
    assert log.count("not cached") == 1
    assert not list(folder.glob("*.tmp")) + list(folder.glob("*.json"))


def test_a_folder_that_cannot_be_made_only_costs_the_cache(
    images, tmp_path, caplog
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert cached_images(images, tmp_path / "file" / "cache") is None
    assert "not cached" in caplog.text


def test_a_disk_without_room_for_others_is_left_alone(
    images, folder, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("rdc.data.image_cache.FREE_BYTES", 1 << 60)
    assert cached_images(images, folder) is None
    assert "not cached" in caplog.text
    assert not list(folder.glob("*.pixels"))


def test_large_sets_are_not_cached(images, folder, caplog) -> None:
    caplog.set_level(logging.INFO, "rdc")
    assert cached_images(images, folder, max_bytes=20_000) is None
    assert "over the" in caplog.text
    assert not folder.exists()


def test_the_least_recently_used_cache_gives_way(tmp_path, folder) -> None:
    sets = [write_images(tmp_path / str(n), 2, side_px=40 + n) for n in range(3)]
    size = sum(read_image(path).nbytes for path in sets[2])
    for paths in (sets[0], sets[1], sets[0]):
        cached_images(paths, folder, max_bytes=10 * size)
    mapped = cached_images(sets[1], folder, max_bytes=10 * size)
    cached_images(sets[0], folder, max_bytes=10 * size)
    cached_images(sets[2], folder, max_bytes=2 * size)  # the first and the last
    assert len(list(folder.glob("*.pixels"))) == 2
    assert len(list(folder.glob("*.json"))) == 2
    assert_holds(mapped, sets[1])  # still there for those who had it open
