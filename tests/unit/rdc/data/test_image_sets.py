"""Image sets: what is found, in which order, under which identity."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from rdc.data.image_sets import data_sha256, dataset_name, list_images, usable_images
from rdc.data.images import read_image
from rdc.errors import DataError


def save(path, size=(32, 32), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for i, name in enumerate(["b.png", "a/z.JPG", "a/c.webp", "d.tiff"]):
        save(root / name, seed=i)
    save(root / ".hidden.png")
    save(root / ".cache/e.png")
    (root / "notes.txt").write_text("b.png\n")
    return root


def test_folder_is_searched_in_sorted_order(folder):
    names = [str(p.relative_to(folder)) for p in list_images(str(folder))]
    assert names == ["a/c.webp", "a/z.JPG", "b.png", "d.tiff"]


def test_list_is_relative_to_its_folder(folder, monkeypatch, tmp_path):
    listing = folder / "small.txt"
    listing.write_text("# two of them\nb.png\n\na/c.webp\n")
    monkeypatch.chdir(tmp_path)
    assert list_images("photos/small.txt") == [
        listing.relative_to(tmp_path).parent / name for name in ("b.png", "a/c.webp")
    ]


def test_list_that_names_missing_files(folder):
    listing = folder / "small.txt"
    listing.write_text("b.png\ngone.png\n")
    with pytest.raises(DataError, match=r"1 of 2 missing: .*gone\.png"):
        list_images(listing)


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_empty_list(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match="at least one"):
        list_images(tmp_path / "a.txt")


def test_list_that_is_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        list_images(tmp_path / "a.txt")


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(DataError, match="holds images"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="Check the path"):
        list_images(tmp_path / "none")


@pytest.mark.parametrize("source", ["bundled", "bundled:", "bundled:test"])
def test_unknown_bundled_split(source):
    with pytest.raises(DataError, match="bundled:train and bundled:eval"):
        list_images(source)


def test_bundled_photographs_are_colourful_and_disjoint():
    train, held_out = list_images("bundled:train"), list_images("bundled:eval")
    assert len(train) >= 6
    assert len(held_out) >= 3
    assert not set(train) & set(held_out)
    for path in train + held_out:
        image = read_image(path)
        assert min(image.shape[:2]) >= 256
        assert np.ptp(image, axis=-1).max() > 50


def test_names(folder):
    assert dataset_name(folder) == "photos"
    assert dataset_name(f"{folder}/") == "photos"
    assert dataset_name(folder / "small.txt") == "small"
    assert dataset_name("bundled:eval") == "bundled"


def test_hash_is_of_the_contents_alone(folder, tmp_path):
    copy = tmp_path / "moved"
    shutil.copytree(folder, copy)
    (copy / "b.png").rename(copy / "renamed.png")
    listing = copy / "all.txt"
    listing.write_text("renamed.png\nd.tiff\na/z.JPG\na/c.webp\n")
    expected = data_sha256(folder)
    assert len(expected) == 64
    assert data_sha256(copy) == expected
    assert data_sha256(listing) == expected
    save(copy / "renamed.png", seed=9)
    assert data_sha256(copy) != expected


def test_hash_counts_repeated_files(folder):
    before = data_sha256(folder)
    shutil.copy(folder / "b.png", folder / "again.png")
    assert data_sha256(folder) != before


def test_small_and_cut_images_are_skipped_with_one_warning(tmp_path, caplog):
    paths = [save(tmp_path / f"{i:02}.png", seed=i) for i in range(40)]
    small = save(tmp_path / "small.png", size=(31, 64))
    cut = save(tmp_path / "cut.png")
    cut.write_bytes(cut.read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        usable, skipped = usable_images([small, *paths, cut], min_side_px=32)
    assert usable == paths
    assert skipped == [small, cut]
    [record] = caplog.records
    assert "2 of 42" in record.message
    assert "small.png" in record.message
    assert "cut.png" in record.message


def test_one_bad_image_is_skipped_even_in_a_small_set(tmp_path, caplog):
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    paths[1].write_bytes(b"")
    assert usable_images(paths, min_side_px=32)[0] == [paths[0], paths[2]]
    assert len(caplog.records) == 1


def test_nothing_is_said_about_good_images(tmp_path, caplog):
    assert usable_images([save(tmp_path / "a.png")], min_side_px=32)[1] == []
    assert not caplog.records


def test_too_many_bad_images_are_refused(tmp_path):
    paths = [
        save(tmp_path / f"{i}.png", size=(8, 8) if i < 3 else (32, 32))
        for i in range(20)
    ]
    with pytest.raises(DataError, match=r"3 of 20 .*crop_px"):
        usable_images(paths, min_side_px=32)


def test_no_usable_image_is_refused(tmp_path):
    with pytest.raises(DataError, match="1 of 1"):
        usable_images([save(tmp_path / "a.png", size=(8, 8))], min_side_px=32)
