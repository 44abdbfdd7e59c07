"""One photograph of an asked size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rdc.data.images import read_image
from rdc.data.photograph import photograph
from tests.unit.rdc.data.photographs import write_images


def test_the_first_that_is_large_enough_is_cropped(tmp_path: Path) -> None:
    small, *_ = write_images(tmp_path, 2, side_px=48)
    large = tmp_path / "large.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    Image.fromarray(pixels).save(large)
    found = photograph(tmp_path, 50, 60)
    np.testing.assert_array_equal(found, pixels[:50, :60])
    np.testing.assert_array_equal(photograph([small, large], 60, 70), pixels)
    np.testing.assert_array_equal(
        photograph(tmp_path, 40, 40), read_image(small)[:40, :40]
    )


def test_where_none_is_the_first_is_mirrored(tmp_path: Path) -> None:
    first, *_ = write_images(tmp_path, 2, side_px=48)
    found = photograph(tmp_path, 180, 30)
    x = read_image(first)[:, :30]
    np.testing.assert_array_equal(found, np.concatenate([x, x[::-1], x, x[::-1]])[:180])
