"""Input: the same samples from threads, processes and the cache; faults in each."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from rdc.data.crops import CropBatches, CropSource, ImageSource
from rdc.data.decode_workers import DecodeWorkers
from rdc.errors import DataError
from rdc.training.input import default_workers, training_batches, training_images
from tests.unit.rdc.data.photographs import damage, write_images

# Trains on nothing for ever, as far as input goes; says its process ids first.
FEED = """
import sys, time
from pathlib import Path
import psutil
from rdc.data.crops import ImageSource
from rdc.training.input import training_batches
images = ImageSource(sorted(Path(sys.argv[1]).iterdir()))
batches = training_batches(
    images, crop_px=32, batch_size=4, seed=0, steps=100, workers=2
)
next(batches)
print(*[child.pid for child in psutil.Process().children()], flush=True)
while True:
    next(batches)
    time.sleep(0.01)
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", 24)


@pytest.fixture
def sources(paths, tmp_path) -> list[ImageSource]:
    """The images decoded at each use, and cached."""
    return [
        training_images(paths, cache_bytes=0),
        training_images(paths, cache_folder=tmp_path / "cache"),
    ]


def batches(images: ImageSource, workers: int):
    return training_batches(
        images, crop_px=32, batch_size=5, seed=3, steps=9, workers=workers
    )


def test_samples_do_not_depend_on_cache_or_workers(sources) -> None:
    decoded, cached = sources
    assert decoded.cached is None
    assert cached.cached is not None
    cases = [(decoded, 0), (decoded, 1), (decoded, 3), (cached, 0), (cached, 2)]
    first, *others = (
        [*itertools.islice(batches(images, workers), 12)] for images, workers in cases
    )
    assert first[0].shape == (5, 32, 32, 3)
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first[0], first[9])  # steps=9, then again
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (3, 1)])
def test_resuming_with_other_workers_goes_on_with_the_exact_sample(
    sources, before, after
) -> None:
    undisturbed = [*itertools.islice(batches(sources[0], 0), 8)]
    stopped = batches(sources[0], before)
    for _ in range(4):
        next(stopped)
    state = json.loads(json.dumps(stopped.get_state()))
    resumed = batches(sources[0], after)
    resumed.set_state(state)
    np.testing.assert_array_equal([*itertools.islice(resumed, 4)], undisturbed[4:])


# What decodes: threads, processes, or the one that builds the cache.
WAYS = {"threads": (0, 0), "processes": (0, 2), "cache": (1 << 30, 0)}


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_image_is_counted_and_replaced(paths, tmp_path, way, caplog) -> None:
    damage(paths[0])
    cache_bytes, workers = WAYS[way]
    whole = training_images(paths[1:], cache_bytes=0)
    for _ in range(2):  # the second time out of the cache
        caplog.clear()
        images = training_images(
            paths, cache_folder=tmp_path / "cache", cache_bytes=cache_bytes
        )
        epoch = [*itertools.islice(batches(images, workers), 5)]
        assert list(images.damaged) == [paths[0]]
        assert caplog.text.count(paths[0].name) == 1
        np.testing.assert_array_equal(images[0], whole[0])
    plain = CropBatches(CropSource(training_images(paths, cache_bytes=0), 32, 3, 45), 5)
    np.testing.assert_array_equal(epoch, [plain[number] for number in range(5)])


@pytest.mark.parametrize("way", WAYS)
def test_many_damaged_images_are_refused(paths, tmp_path, way) -> None:
    for path in paths[:2]:
        damage(path)
    cache_bytes, workers = WAYS[way]

    def epoch() -> None:
        images = training_images(
            paths, cache_folder=tmp_path / "cache", cache_bytes=cache_bytes
        )
        list(itertools.islice(batches(images, workers), 5))

    with pytest.raises(DataError, match="2 of 24 that cannot"):
        epoch()


def test_processes_import_neither_jax_nor_grain() -> None:
    code = "import sys, rdc.data.decode_workers; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rdc.data.crops" in modules
    assert not {"jax", "grain", "flax", "orbax"} & set(modules)


def test_a_killed_process_changes_no_batch(sources, caplog) -> None:
    plain = CropBatches(CropSource(sources[0], 32, 3, 50), 5)
    before = set(psutil.Process().children())
    workers = DecodeWorkers(plain, 2)
    started = set(psutil.Process().children()) - before
    assert len(started) == 2
    np.testing.assert_array_equal(workers[0], plain[0])
    for process in started:
        process.kill()
    for number in range(10):
        np.testing.assert_array_equal(workers[number], plain[number])
    assert caplog.text.count("going on without it") == 2


def test_processes_end_with_their_iterator(sources) -> None:
    before = set(psutil.Process().children())
    iterator = batches(sources[0], 2)
    next(iterator)
    started = set(psutil.Process().children()) - before
    assert len(started) == 2
    iterator.close()
    del iterator
    assert not psutil.wait_procs(started, timeout=10)[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True])
def test_processes_end_with_a_training_that_is_ended(paths, number, to_all) -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", FEED, str(paths[0].parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with training:
        assert training.stdout is not None
        workers = [
            psutil.Process(int(pid)) for pid in training.stdout.readline().split()
        ]
        assert len(workers) == 2
        if to_all:  # as a terminal does with Ctrl-C
            os.killpg(training.pid, number)
        else:
            training.send_signal(number)
        started = time.monotonic()
        try:
            _, log = training.communicate(timeout=30)
        finally:
            training.kill()  # leaving the block waits for its end
        _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert time.monotonic() - started < 10
    assert log.count("Traceback") == (1 if number == signal.SIGINT else 0), log


def test_default_workers(sources) -> None:
    decoded, cached = sources
    assert default_workers(cached) == 0
    cores = len(os.sched_getaffinity(0))
    assert default_workers(decoded) == (0 if cores <= 2 else cores - 1)
