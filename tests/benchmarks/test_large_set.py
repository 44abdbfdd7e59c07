"""The start of a training whose set has 100 000 files; `make bench` prints it."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.data.image_sets import usable_images
from rdc.data.manifest import Manifest, known_images, manifest_of, planned_images
from rdc.system.files import read_json, write_json_atomically
from rdc.training.input import training_images

FILES = 100_000


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_start_with_100_000_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(buffer, "png")
    folder = tmp_path / "images"
    for number in range(FILES):
        if number % 1000 == 0:
            (folder / f"{number // 1000}").mkdir(parents=True)
        path = folder / f"{number // 1000}" / f"{number}.png"
        path.write_bytes(buffer.getvalue())
    began = time.monotonic()
    known = known_images(str(folder))
    first = time.monotonic() - began
    began = time.monotonic()
    assert len(known_images(str(folder))) == FILES
    plan = time.monotonic() - began
    path = tmp_path / "manifest.json"
    write_json_atomically(path, manifest_of(str(folder), known).to_dict())

    began = time.monotonic()
    manifest = Manifest.from_dict(read_json(path))
    images = planned_images(manifest, str(folder))
    usable, _ = usable_images(images, 256)
    source = training_images(usable)
    start = time.monotonic() - began
    assert len(source) == FILES
    print(
        f"\n{FILES} files: read for the first time {first:.1f} s; planned again "
        f"{plan:.2f} s; start of a training {start:.2f} s (target 2 s)"
    )
