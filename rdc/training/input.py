"""Batches of random crops: order from a seed, decoding ahead of the training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import grain

from rdc.data.crops import CropBatches, CropSource, ImageSource
from rdc.data.decode_workers import DecodeWorkers
from rdc.data.image_cache import CACHE_BYTES, cached_images

_THREADS = 2  # without workers
_BATCHES_AHEAD = 4


def training_images(
    paths: Sequence[Path],
    *,
    cache_folder: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> ImageSource:
    """The images of a training; decoded into the cache where they fit.

    Args:
      cache_folder: None: the user's.
      cache_bytes: of all cached sets together; 0: nothing is cached.

    Raises:
      DataError: over 5 % of the images (and more than one) are damaged.
    """
    return ImageSource(paths, cached_images(paths, cache_folder, cache_bytes))


def training_batches(
    images: Sequence[Path] | ImageSource,
    *,
    crop_px: int,
    batch_size: int,
    seed: int,
    steps: int,
    flips: bool = False,
    upscaling: float = 1.0,
    rows: range | None = None,
    workers: int | None = None,
) -> grain.DatasetIterator:
    """Endless batches u8[batch_size, crop_px, crop_px, 3], repeating after `steps`.

    The iterator's `get_state` and `set_state` resume to the exact sample, also with
    another number of workers.

    Args:
      images: paths mean `training_images(paths)`.
      flips, upscaling: as `rdc.data.crops.CropSource` takes them.
      rows: of each batch, what this process takes; None: all.
      workers: processes that decode; None: `default_workers`.
    """
    if not isinstance(images, ImageSource):
        images = training_images(images)
    crops = CropSource(
        images,
        crop_px,
        seed,
        steps * batch_size,
        flips=flips,
        upscaling=upscaling,
    )
    batches = CropBatches(crops, batch_size, rows)
    if workers is None:
        workers = default_workers(images)
    source = DecodeWorkers(batches, workers) if workers else batches
    # Each thread waits for one worker.
    threads = workers or _THREADS
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(2 * threads, _BATCHES_AHEAD)
    )
    dataset = grain.MapDataset.source(source).repeat()
    return iter(dataset.to_iter_dataset(options))


def default_workers(images: ImageSource) -> int:
    """Processes that decode `images`: none for cached ones, else all cores but one.

    Measured in docs/decisions/010-input-cache-and-processes.md.
    """
    if images.cached is not None:
        return 0
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores - 1 if cores > 2 else 0
