"""How fast batches come, beside how fast training takes them, in one run."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rdc.data.crops import ImageSource
from rdc.data.image_sets import list_images, usable_images
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.recipe import Recipe
from rdc.training import train
from rdc.training.input import training_batches, training_images
from tests.architectures import ALL

pytestmark = pytest.mark.benchmark

CROP_PX = 256
BATCH_SIZES = (8, 32)
SECONDS = 4.0  # of each way, three times, in turns
MAX_INPUT_SHARE = 0.02


@pytest.fixture(scope="module")
def paths(shared_data: Path) -> list[Path]:
    return usable_images(list_images(shared_data / "train"), CROP_PX)[0]


@pytest.fixture(scope="module")
def cached(
    paths: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageSource]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for state in ("built", "opened"):
            started = time.perf_counter()
            images = training_images(paths)
            seconds = time.perf_counter() - started
            print(f"\ncache of {len(paths)} photographs {state} in {seconds:.1f} s")
        assert images.cached is not None
        yield images
    shutil.rmtree(folder)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_batches_per_second(
    cached: ImageSource, paths: list[Path], batch_size: int
) -> None:
    ways = {
        "cached, threads": (cached, 0),
        "decoded, threads": (ImageSource(paths), 0),
        "decoded, 1 process": (ImageSource(paths), 1),
        "decoded, 2 processes": (ImageSource(paths), 2),
    }
    iterators = {
        name: training_batches(
            images,
            crop_px=CROP_PX,
            batch_size=batch_size,
            seed=0,
            steps=1_000_000,
            workers=workers,
        )
        for name, (images, workers) in ways.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _, name in itertools.product(range(3), ways):
        rates[name].append(rate(iterators[name]))
    print(f"\nbatches of {batch_size} x {CROP_PX} px per second")
    for name, values in rates.items():
        print(f"  {name:22} {np.median(values):7.1f}  {np.round(np.sort(values), 1)}")
    best = {name: np.median(values) for name, values in rates.items()}
    assert best["cached, threads"] > 2 * best["decoded, threads"]


def rate(iterator: Iterator[np.ndarray]) -> float:
    for _ in range(4):  # those that wait in the buffer
        next(iterator)
    started = time.perf_counter()
    for count in itertools.count(1):
        next(iterator)
        elapsed = time.perf_counter() - started
        if elapsed > SECONDS:
            return count / elapsed
    raise AssertionError


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_training_does_not_wait_for_input(
    shared_data: Path, tmp_path: Path, batch_size: int
) -> None:
    summary = train(
        ALL["conv-mean_scale_hyperprior-conv"],
        Recipe(steps=20, batch_size=batch_size, crop_px=CROP_PX),
        (0.0125,),
        shared_data / "train",
        tmp_path,
        checkpoint=CheckpointSpec(every_seconds=None),
    ).summary
    share = summary.input_seconds / summary.train_seconds
    print(
        f"\ntraining, {batch_size} x {CROP_PX} px: "
        f"{summary.steps_per_second:.2f} steps/s, "
        f"{100 * share:.2f} % of the time waiting for input"
    )
    assert share < MAX_INPUT_SHARE
