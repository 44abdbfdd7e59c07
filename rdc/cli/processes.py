"""Worker processes: each with its own model and its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import psutil

from rdc.cli.operations import Coded
from rdc.codec.limits import DEFAULT_MEMORY_BYTES
from rdc.errors import RdcError

Run = Callable[[Path], Coded]


def default_processes(images: int, per_process: int) -> int:
    """A process per core, as far as images and free memory go round.

    Args:
      per_process: how many images are worth a process.
    """
    return max(
        1,
        min(
            len(_cores()),
            images // per_process,
            psutil.virtual_memory().available // DEFAULT_MEMORY_BYTES,
        ),
    )


def run_all(
    run: Run, sources: Iterable[Path], processes: int
) -> Generator[tuple[Path, Callable[[], Coded]], None, None]:
    """(source, function that gives `run(source)` or raises what it raised).

    With one process, everything happens in this one and in order; with more, in the
    order in which they finish. Closing the generator ends the processes.
    """
    if processes == 1:
        for source in sources:
            yield source, partial(run, source)
        return
    # JAX does not survive a fork.
    context = multiprocessing.get_context("spawn")
    shares: SimpleQueue = context.SimpleQueue()
    for share in np.array_split(_cores(), processes):
        shares.put(share.tolist())
    pool = ProcessPoolExecutor(processes, context, _start, (shares,))
    try:
        with _interrupts_blocked():
            futures = {pool.submit(run, source): source for source in sources}
        for future in as_completed(futures):
            yield futures.pop(future), partial(_result, future)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # They write no files: this process does.
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _start(shares: SimpleQueue) -> None:
    share = shares.get()
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)  # XLA's thread pool follows it
    # Several processes share the accelerator, if there is one.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _result(future: Future[Coded]) -> Coded:
    try:
        return future.result()
    except BrokenProcessPool:
        raise RdcError(
            "worker processes live as long as there is work",
            "one that ended early",
            "memory may be short: give a smaller --jobs; finished outputs are kept",
        ) from None


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Children inherit the mask: Ctrl-C reaches this process alone, and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
