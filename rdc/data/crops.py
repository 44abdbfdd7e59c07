"""Random crops of photographs; the seed and a sample's number fix its pixels."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rdc.data.image_cache import CachedImages
from rdc.data.image_sets import first_few, too_many_skipped
from rdc.data.images import read_image
from rdc.errors import DataError

_log = logging.getLogger(__name__)


class ImageSource:
    """Random access to images, u8[H,W,3], out of a cache or decoded at each use.

    An image that is damaged inside, which only decoding shows, is named once in the
    log and counted in `damaged`; the next one stands in for it.
    """

    def __init__(self, paths: Sequence[Path], cached: CachedImages | None = None):
        self._paths, self.cached = paths, cached
        self.damaged: dict[Path, str] = {}
        if cached is not None:
            missing = [i for i in range(len(self)) if cached[i] is None]
            self.note_damaged(
                {self._paths[i]: f"{self._paths[i]} cannot be decoded" for i in missing}
            )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        for offset in range(len(self)):
            image = self._image((index + offset) % len(self))
            if image is not None:
                return image
        raise DataError("training images can be decoded", "none of them can")

    def note_damaged(self, damaged: Mapping[Path, str]) -> None:
        """Counts images, path -> message, and names those that are new in the log.

        Raises:
          DataError: they are now over 5 % of all (and more than one).
        """
        new = {p: text for p, text in damaged.items() if p not in self.damaged}
        if not new:
            return
        self.damaged |= new
        listing = first_few(new.values())
        if too_many_skipped(len(self.damaged), len(self)):
            raise DataError(
                "training images can be decoded (one, or 5 % of them, may fail)",
                f"{len(self.damaged)} of {len(self)} that cannot: {listing}",
                "remove them, or replace them with whole copies",
            )
        _log.warning("skipped %d damaged training images: %s", len(new), listing)

    def _image(self, index: int) -> np.ndarray | None:
        if self.cached is not None:
            return self.cached[index]
        path = self._paths[index]
        if path in self.damaged:
            return None
        try:
            return read_image(path)
        except DataError as error:
            self.note_damaged({path: str(error)})
            return None


class CropSource:
    """Sample n of a training, u8[crop_px,crop_px,3], for n in 0..samples-1.

    Every image once per epoch, in an order drawn anew for each; crops are uniform.
    Sample n is a function of `seed` and n alone. (Grain's own shuffle takes
    milliseconds per sample on sets of a few images.)

    Args:
      flips: every second sample is mirrored left to right.
      upscaling: samples are smaller crops enlarged by a factor from 1 to this, its
        logarithm uniform, with Pillow's bicubic filter.
    """

    def __init__(
        self,
        images: ImageSource,
        crop_px: int,
        seed: int,
        samples: int,
        *,
        flips: bool = False,
        upscaling: float = 1.0,
    ):
        self.images, self._crop_px, self._seed = images, crop_px, seed
        self._samples, self._flips, self._upscaling = samples, flips, upscaling

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, sample: int) -> np.ndarray:
        epoch, position = divmod(sample, len(self.images))
        image = self.images[self._order(epoch)[position]]
        random = np.random.default_rng((self._seed, 1, sample))
        height, width = image.shape[:2]
        side = self._crop_px
        if self._upscaling > 1:
            side = round(side / self._upscaling ** random.random())
        top = random.integers(0, height - side + 1)
        left = random.integers(0, width - side + 1)
        crop = image[top : top + side, left : left + side]
        if side < self._crop_px:
            size = (self._crop_px, self._crop_px)
            large = Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC)
            crop = np.asarray(large)
        if self._flips and random.random() < 0.5:
            crop = crop[:, ::-1]
        return crop

    def _order(self, epoch: int) -> np.ndarray:
        return _shuffled(self._seed, epoch, len(self.images))


@functools.lru_cache(maxsize=2)
def _shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


class CropBatches:
    """Batch n, u8[batch_size,crop_px,crop_px,3], of the samples from n * batch_size.

    Args:
      rows: those of each batch that are read; None: all.
    """

    def __init__(self, crops: CropSource, batch_size: int, rows: range | None = None):
        self.images = crops.images
        self._crops, self._batch_size = crops, batch_size
        self._rows = range(batch_size) if rows is None else rows

    def __len__(self) -> int:
        return len(self._crops) // self._batch_size

    def __getitem__(self, batch: int) -> np.ndarray:
        first = batch * self._batch_size
        return np.stack([self._crops[first + i] for i in self._rows])
