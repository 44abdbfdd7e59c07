"""Processes that decode and crop: `python -m rdc.data.decode_workers` is one of them.

They import neither JAX nor grain, and end when their parent closes their input, which
the operating system does for a parent that was killed.

    parent -> CropBatches, then numbers of batches -> worker
    parent <- (batch or None, damaged images) of each <- worker
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rdc.data.crops import CropBatches
from rdc.errors import DataError

_END_SECONDS = 5
_log = logging.getLogger(__name__)


class DecodeWorkers:
    """The same batches as those of `batches`, made by `count` processes.

    Threads ask for batches, one process serves each. Where a process ends before its
    time (the system took its memory), the threads decode in its place.
    """

    def __init__(self, batches: CropBatches, count: int):
        self._batches = batches
        with _children_deaf():
            workers = [
                subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                for _ in range(count)
            ]
        weakref.finalize(self, _end, workers)
        self._free: queue.SimpleQueue[subprocess.Popen | None] = queue.SimpleQueue()
        for worker in workers:
            with contextlib.suppress(OSError):  # then the first request fails, too
                _send(worker, batches)
            self._free.put(worker)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> np.ndarray:
        worker = self._free.get()
        try:
            if worker is not None:
                _send(worker, number)
                batch, damaged = _received(worker)
        except (OSError, EOFError, pickle.UnpicklingError):
            _log.warning("an input process ended: going on without it")
            worker = None
        finally:
            self._free.put(worker)
        if worker is None:
            return self._batches[number]
        self._batches.images.note_damaged(damaged)
        return batch


@contextlib.contextmanager
def _children_deaf() -> Iterator[None]:
    """Processes started now never see SIGINT and SIGTERM, as they inherit the mask.

    The terminal and the driver signal all processes of a training; its first one alone
    decides when to end.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _send(worker: subprocess.Popen, message: CropBatches | int) -> None:
    assert worker.stdin is not None
    pickle.dump(message, worker.stdin)
    worker.stdin.flush()


def _received(worker: subprocess.Popen) -> tuple[np.ndarray, dict[Path, str]]:
    assert worker.stdout is not None
    return pickle.load(worker.stdout)


def _end(workers: Sequence[subprocess.Popen]) -> None:
    for worker in workers:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdout.close()
        with contextlib.suppress(OSError):  # a request that it never took
            worker.stdin.close()
    for worker in workers:
        try:
            worker.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def main() -> None:
    """Answers one request after the other until the input ends."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody waits for the answer
    logging.disable()  # the parent names damaged images
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print does not belong among the answers
    try:
        batches: CropBatches = pickle.load(requests)
        while True:
            number = pickle.load(requests)
            try:
                batch = batches[number]
            except DataError:  # too many damaged images, as the parent will find
                batch = None
            pickle.dump((batch, batches.images.damaged), answers)
            answers.flush()
    except EOFError:
        return


if __name__ == "__main__":
    main()
