"""Photographs with masks: read as they are, or refused in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.errors import DataError
from rdc.tasks.voc import MaskedPhotographs, check_masked, masked_photographs
from tests.unit.rdc.tasks.pictures import HEIGHT, WIDTH, picture, write_voc


@pytest.fixture
def masked(tmp_path: Path) -> MaskedPhotographs:
    write_voc(tmp_path, 3)
    return masked_photographs(tmp_path, "train")


def test_masks_are_numbers(
    masked: MaskedPhotographs, caplog: pytest.LogCaptureFixture
) -> None:
    check_masked(masked)
    assert masked.names == ("0", "1", "2")
    assert masked.image(1).shape == (HEIGHT, WIDTH, 3)
    left, top, width, height = picture(1)[1]
    mask = masked.mask(1)
    assert np.bincount(mask.ravel())[1] == (width - 2) * (height - 2)
    assert mask[top, left] == 255
    with caplog.at_level(logging.INFO):
        masked_photographs(masked.folder, "train")
    assert "names 3 photographs; VOC2012's 1464" in caplog.text


def test_a_changed_mask_is_other_data(masked: MaskedPhotographs) -> None:
    before = masked.data_sha256
    shuffled = MaskedPhotographs(masked.folder, masked.names[::-1])
    assert shuffled.data_sha256 == before
    masks = masked.folder / "SegmentationClass"
    (masks / "0.png").rename(masks / "x.png")
    (masks / "1.png").rename(masks / "0.png")
    (masks / "x.png").rename(masks / "1.png")
    assert masked.data_sha256 != before


def test_lists_that_contradict_are_refused(masked: MaskedPhotographs) -> None:
    root = masked.folder
    names = root / "ImageSets/Segmentation/train.txt"

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            masked_photographs(root, "train")

    with pytest.raises(DataError, match="has its list of names"):
        masked_photographs(root, "val")
    names.write_text("0\n0\n")
    refused("names a photograph once; got 1 twice")
    names.write_text("\n")
    refused("names photographs; got none")
    names.write_text("0\n9\n")
    refused("has photographs in JPEGImages; got 1 without: 9")
    names.write_text("0\n1\n")
    (root / "SegmentationClass/1.png").unlink()
    refused("has masks in SegmentationClass; got 1 without: 1")
    names.write_text("0\n")
    (root / "JPEGImages/2.jpg").unlink()
    refused("SegmentationClass has photographs in JPEGImages; got 1 without: 2")


def test_files_that_do_not_fit_are_refused(masked: MaskedPhotographs) -> None:
    image = masked.folder / "JPEGImages/0.jpg"
    mask = masked.folder / "SegmentationClass/0.png"
    stored = mask.read_bytes()

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            check_masked(masked)

    Image.fromarray(np.zeros((HEIGHT, WIDTH - 1), np.uint8)).save(mask)
    refused(f"as large as its photograph; got {WIDTH - 1} x {HEIGHT} for")
    Image.fromarray(np.full((HEIGHT, WIDTH), 21, np.uint8)).save(mask)
    refused("0 to 20, or 255 for void; got 21 in the mask of 0")
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(mask)
    refused("a palette or grey file; got mode RGB")
    mask.write_bytes(stored[:-60])
    refused("can be decoded")
    mask.write_bytes(stored)
    Image.open(image).convert("L").save(image)
    refused(r"1 grey ones: JPEGImages/0\.jpg")
    image.write_bytes(b"no photograph")
    refused("can be decoded")
