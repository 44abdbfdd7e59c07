"""Crops that are mirrored and enlarged: functions of the seed and their number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.data.crops import CropBatches, CropSource, ImageSource

CROP_PX, SAMPLES = 32, 200


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSource:
    """Two images whose red tells the column and whose green tells the row."""
    folder = tmp_path_factory.mktemp("images")
    rows, columns = np.mgrid[:80, :96]
    for number in range(2):
        x = np.stack([2 * columns, 2 * rows, np.full_like(rows, 100 * number)], axis=-1)
        Image.fromarray(x.astype(np.uint8)).save(folder / f"{number}.png")
    return ImageSource(sorted(Path(folder).iterdir()))


def samples(images: ImageSource, seed: int = 0, **settings: object) -> np.ndarray:
    source = CropSource(images, CROP_PX, seed, SAMPLES, **settings)
    return np.stack([source[n] for n in range(SAMPLES)]).astype(int)


def slopes(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of red along the columns and of green along the rows, per pixel."""
    middle = CROP_PX // 2
    columns = crops[:, middle, -5, 0] - crops[:, middle, 4, 0]
    rows = crops[:, -5, middle, 1] - crops[:, 4, middle, 1]
    return columns / (CROP_PX - 9), rows / (CROP_PX - 9)


def test_plain_crops_are_parts_of_the_images(images: ImageSource) -> None:
    columns, rows = slopes(samples(images))
    assert (columns == 2).all()
    assert (rows == 2).all()


def test_half_of_the_flipped_crops_are_mirrored(images: ImageSource) -> None:
    plain, flipped = samples(images), samples(images, flips=True)
    mirrored = slopes(flipped)[0] == -2
    assert 0.35 < mirrored.mean() < 0.65
    np.testing.assert_array_equal(flipped[mirrored], plain[mirrored][:, :, ::-1])
    np.testing.assert_array_equal(flipped[~mirrored], plain[~mirrored])


def test_enlarged_crops_have_factors_over_the_whole_range(images: ImageSource) -> None:
    crops = samples(images, upscaling=1.6)
    assert crops.shape == (SAMPLES, CROP_PX, CROP_PX, 3)
    columns, rows = slopes(crops)
    np.testing.assert_allclose(columns, rows, atol=0.1)  # the same factor both ways
    factors = 2 / columns
    assert factors.min() < 1.05
    assert 1.5 < factors.max() < 1.7
    assert abs(np.median(np.log(factors)) / np.log(1.6) - 0.5) < 0.1


def test_changed_crops_are_functions_of_seed_and_number(images: ImageSource) -> None:
    settings = {"flips": True, "upscaling": 1.6}
    first = samples(images, **settings)
    np.testing.assert_array_equal(samples(images, **settings), first)
    assert (samples(images, seed=1, **settings) != first).any()
    backwards = CropSource(images, CROP_PX, 0, SAMPLES, **settings)
    for n in reversed(range(0, SAMPLES, 17)):
        np.testing.assert_array_equal(backwards[n], first[n])


def test_hosts_share_a_batch_row_by_row(images: ImageSource) -> None:
    crops = CropSource(images, CROP_PX, 0, SAMPLES)
    shares = [CropBatches(crops, 6, rows) for rows in (range(3), range(3, 6))]
    whole = CropBatches(crops, 6)
    assert {len(batches) for batches in (whole, *shares)} == {SAMPLES // 6}
    np.testing.assert_array_equal(np.concatenate([s[2] for s in shares]), whole[2])
