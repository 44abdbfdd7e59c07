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


class CropSource:
    """Sample n of a training, u8[crop_px,crop_px,3], for n in 0..samples-1.

    Every image once per epoch, in an order drawn anew for each; crops are uniform.
    Sample n is a function of `seed` and n alone. (Grain's own shuffle takes
    milliseconds per sample on sets of a few images.)
    """

    def __init__(self, images: ImageSource, crop_px: int, seed: int, samples: int):
        self._images, self._crop_px, self._seed = images, crop_px, seed
        self._samples = samples
        self._order = functools.lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, sample: int) -> np.ndarray:
        epoch, position = divmod(sample, len(self._images))
        image = self._images[self._order(epoch)[position]]
        random = np.random.default_rng((self._seed, 1, sample))
        height, width = image.shape[:2]
        top = random.integers(0, height - self._crop_px + 1)
        left = random.integers(0, width - self._crop_px + 1)
        return image[top : top + self._crop_px, left : left + self._crop_px]

    def _shuffled(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng((self._seed, 0, epoch))
        return random.permutation(len(self._images))


def training_batches(
    paths: Sequence[Path], *, crop_px: int, batch_size: int, seed: int, steps: int
) -> grain.DatasetIterator:
    """Endless batches u8[batch_size, crop_px, crop_px, 3], repeating after `steps`.

    The iterator's `get_state` and `set_state` resume to the exact sample.
    """
    samples = CropSource(ImageSource(paths), crop_px, seed, steps * batch_size)
    dataset = grain.MapDataset.source(samples).repeat().batch(batch_size)
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(dataset.to_iter_dataset(options))
