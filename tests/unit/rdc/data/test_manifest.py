"""What was planned of an image set, and what a machine has of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.data.image_cache import cached_images
from rdc.data.image_sets import data_sha256, usable_images
from rdc.data.manifest import Manifest, known_images, manifest_of, planned_images
from rdc.errors import NodeError
from rdc.system.files import json_bytes, parsed_json


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path) -> Path:
    noise = np.random.default_rng(0)
    for name, side in (("a.png", 40), ("sub/b.png", 64), ("small.png", 8)):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (side, side + 2, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (tmp_path / "images" / "cut.png").write_bytes(
        (tmp_path / "images" / "a.png").read_bytes()[:300]
    )
    return tmp_path / "images"


def manifest(source: Path | str) -> Manifest:
    made = manifest_of(str(source), known_images(str(source)))
    return Manifest.from_dict(parsed_json(json_bytes(made.to_dict()), "manifest"))


def test_facts_are_those_of_the_files(folder):
    known = known_images(str(folder))
    assert [path.name for path in known] == ["a.png", "cut.png", "small.png", "b.png"]
    assert [(f.height_px, f.width_px) for f in known.facts][::2] == [(40, 42), (8, 10)]
    assert "cut.png" in known.facts[1].problem
    assert known.data_sha256 == data_sha256(folder) == data_sha256(known)


def test_nothing_is_opened_again_that_is_known(folder, monkeypatch):
    first = known_images(str(folder))
    monkeypatch.setattr("rdc.data.image_facts._read_facts", None)
    second = known_images(str(folder))
    assert second.facts == first.facts
    assert planned_images(manifest(folder), str(folder)).facts == first.facts
    shutil.rmtree(folder)
    usable, skipped = usable_images(second.only([0, 2, 3]), 32)
    assert ([path.name for path in usable], len(skipped)) == (["a.png", "b.png"], 1)


def test_what_was_decoded_once_is_known(folder, monkeypatch):
    """Damage amid a file and missing colours show then alone."""
    damaged = bytearray((folder / "sub/b.png").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (folder / "sub/b.png").write_bytes(damaged)
    with Image.open(folder / "small.png") as image:
        image.convert("L").save(folder / "small.png")
    header = known_images(str(folder)).facts
    assert [bool(facts.problem) for facts in header] == [False, True, False, False]
    assert {facts.is_grey for facts in header} == {None}
    told = []

    def stop(done, count):
        told.append((done, count))
        if told == [(1, 4), (2, 4)]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        known_images(str(folder), decoded=True, progress=stop)
    decoded = known_images(str(folder), decoded=True, progress=stop).facts
    assert told[2:] == [(1, 2), (2, 2)]
    assert [bool(facts.problem) for facts in decoded] == [False, True, False, True]
    assert [facts.is_grey for facts in decoded] == [False, False, True, False]
    monkeypatch.setattr("rdc.data.image_facts._read_facts", None)
    assert known_images(str(folder), decoded=True).facts == decoded
    assert known_images(str(folder)).facts == decoded


def test_a_file_that_changed_is_read_again(folder):
    planned = manifest(folder)
    shutil.copy(folder / "sub/b.png", folder / "a.png")
    with pytest.raises(NodeError, match=r"1 of 4 that are others: .*a\.png has \d+ by"):
        planned_images(planned, str(folder))


def test_other_bytes_of_the_same_size_are_told_apart(folder):
    planned = manifest(folder)
    path = folder / "a.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(NodeError, match=r"a\.png has other bytes"):
        planned_images(planned, str(folder))


def test_missing_files_are_named_and_others_beside_them_do_not_count(folder):
    planned = manifest(folder)
    shutil.copy(folder / "a.png", folder / "more.png")
    assert len(planned_images(planned, str(folder))) == 4
    (folder / "sub/b.png").unlink()
    with pytest.raises(NodeError, match=r"sub/b\.png is missing"):
        planned_images(planned, str(folder))


def test_a_copy_elsewhere_and_a_list_hold_what_was_planned(folder, tmp_path):
    planned = manifest(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    images = planned_images(planned, str(copy))
    assert list(images) == [copy / name for name in planned.names]
    listing = tmp_path / "listing.txt"
    listing.write_text("images/a.png\nimages/sub/b.png\n")
    of_list = manifest(listing)
    assert of_list.names == ["images/a.png", "images/sub/b.png"]
    assert planned_images(of_list, str(listing)).data_sha256 == data_sha256(listing)
    bundled = manifest("bundled:eval")
    assert planned_images(bundled, "bundled:eval").data_sha256 == data_sha256(
        "bundled:eval"
    )


def test_the_cache_of_pixels_is_the_same_with_and_without_facts(folder, tmp_path):
    known = known_images(str(folder))
    paths = [known[0], known[3]]
    cached = cached_images(paths, tmp_path / "pixels")
    again = cached_images(known.only([0, 3]), tmp_path / "pixels")
    assert cached is not None
    assert again is not None
    np.testing.assert_array_equal(cached[1], again[1])
    assert len(list((tmp_path / "pixels").glob("*.pixels"))) == 1
