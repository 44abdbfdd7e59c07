"""Random crops of photographs, in an order that a seed fixes."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import grain
import numpy as np

from rdc.data.images import read_image
from rdc.errors import DataError

CACHE_BYTES = 1 << 30  # of decoded images per process
_log = logging.getLogger(__name__)


class ImageSource:
    """Random access to decoded images, u8[H,W,3]; small sets stay in memory.

    An image that is damaged inside, which only decoding shows, is named once in the
    log; the next one stands in for it.
    """

    def __init__(self, paths: Sequence[Path]):
        self._paths = list(paths)
        self._cache: dict[int, np.ndarray] = {}
        self._cached_bytes = 0
        self._damaged: set[Path] = set()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        if index in self._cache:
            return self._cache[index]
        image = self._read(index)
        if self._cached_bytes + image.nbytes <= CACHE_BYTES:
            self._cache[index] = image
            self._cached_bytes += image.nbytes
        return image

    def _read(self, index: int) -> np.ndarray:
        for offset in range(len(self)):
            path = self._paths[(index + offset) % len(self)]
            try:
                return read_image(path)
            except DataError as error:
                if path not in self._damaged:
                    self._damaged.add(path)
                    _log.warning("skipped a damaged training image: %s", error)
        raise DataError("training images can be decoded", "none of them can")


def random_crop(
    image: np.ndarray, random: np.random.Generator, crop_px: int
) -> np.ndarray:
    """A square crop, u8[crop_px, crop_px, 3]."""
    top = random.integers(0, image.shape[0] - crop_px + 1)
    left = random.integers(0, image.shape[1] - crop_px + 1)
    return image[top : top + crop_px, left : left + crop_px]


def training_batches(
    paths: Sequence[Path], *, crop_px: int, batch_size: int, seed: int
) -> grain.DatasetIterator:
    """Endless batches u8[batch_size, crop_px, crop_px, 3].

    Sample n is a function of `seed` and n alone; the iterator's `get_state` and
    `set_state` resume to the exact sample.
    """
    dataset = (
        grain.MapDataset.source(ImageSource(paths))
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(functools.partial(random_crop, crop_px=crop_px))
        .batch(batch_size)
    )
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(dataset.to_iter_dataset(options))
