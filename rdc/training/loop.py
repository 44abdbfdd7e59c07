"""The training of one architecture, from the first step or a checkpoint to the last."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from flax import nnx

from rdc.architectures import build
from rdc.data.image_sets import list_images, usable_images
from rdc.errors import DivergedError, PreemptedError
from rdc.jobs import Request, TrainJob
from rdc.model import CompressionModel
from rdc.specs.training import TrainSpec
from rdc.training.checkpoints import Checkpoints
from rdc.training.input import training_batches
from rdc.training.journal import Journal
from rdc.training.step import TrainState, initial_state, make_step

LOG_EVERY_STEPS = 20
SKIPPED_IN_A_ROW = 10  # then back to the last checkpoint, once; then diverged
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What a checkpoint keeps beside the weights."""

    train_seconds: float = 0.0
    input_seconds: float = 0.0  # of these, spent waiting for images
    loss_first: float | None = None
    loss_last: float | None = None
    skipped_steps: int = 0
    rollbacks: int = 0
    data_state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """The trained model and what its record says."""

    model: CompressionModel
    result: dict[str, Any]


def train(job: TrainJob, request: Request, folder: Path) -> Trained:
    """Trains `job` and writes metrics and checkpoints into `folder`.

    Resumes from the newest readable checkpoint of `request.resume_from`; the result
    is then bit-equal to that of an undisturbed run on the same device.

    Raises:
      DataError: no usable images.
      DivergedError: steps stay non-finite after one return to a checkpoint.
      PreemptedError: SIGTERM came; a checkpoint was written.
    """
    spec = job.train
    batch_size = max(spec.batch_size // request.batch_divisor, 1)
    assert request.images is not None
    paths, _ = usable_images(list_images(request.images), spec.crop_px)

    def batches() -> Any:
        return training_batches(
            paths,
            crop_px=spec.crop_px,
            batch_size=batch_size,
            seed=spec.seed,
            steps=spec.steps,
        )

    checkpoints = Checkpoints(
        folder / "checkpoint",
        [Path(p) / "checkpoint" for p in request.resume_from],
        job.job_id,
    )
    model = build(job.architecture, seed=spec.seed)
    fresh = initial_state(model, spec)
    restored = checkpoints.restore(fresh)
    state, progress = fresh, Progress()
    if restored is not None:
        state, progress = restored[0], Progress(**restored[1])
    resumed_from = int(state.step)
    _log.info("step %d of %d", resumed_from, spec.steps)
    with Journal(folder, spec.steps) as journal, _stop_request() as stop:
        run = _Run(model, spec, checkpoints, journal, request, batches, stop)
        state = run.to_the_end(state, progress)

    nnx.update(model, state.params)
    return Trained(
        model,
        {
            "arch_id": job.arch_id,
            "steps": int(state.step),
            "batch_size": batch_size,
            "train_seconds": progress.train_seconds,
            "input_seconds": progress.input_seconds,
            "steps_per_second": spec.steps / progress.train_seconds,
            "loss_first": progress.loss_first,
            "loss_last": progress.loss_last,
            "resumed_from_step": resumed_from,
            "skipped_steps": progress.skipped_steps,
            "rollbacks": progress.rollbacks,
        },
    )


class _Run:
    """The loop's fixed parts."""

    def __init__(
        self,
        model: CompressionModel,
        spec: TrainSpec,
        checkpoints: Checkpoints,
        journal: Journal,
        request: Request,
        batches: Any,
        stop: threading.Event,
    ):
        self._spec, self._checkpoints, self._journal = spec, checkpoints, journal
        self._step = make_step(model, spec)
        self._batches = batches
        self._stop = stop
        self._every = request.checkpoint_every_seconds

    def to_the_end(self, state: TrainState, progress: Progress) -> TrainState:
        iterator = self._iterator(progress)
        pending: list[dict[str, jax.Array]] = []
        skipped_in_a_row = 0
        started = last_saved = time.monotonic()
        before = progress.train_seconds

        def save() -> None:
            nonlocal last_saved
            progress.train_seconds = before + time.monotonic() - started
            progress.data_state = iterator.get_state()
            self._checkpoints.save(state, asdict(progress))
            last_saved = time.monotonic()

        step = int(state.step)
        if step == 0:
            save()  # what a rollback returns to, should the first steps diverge
        while step < self._spec.steps:
            waiting = time.monotonic()
            batch = next(iterator)
            progress.input_seconds += time.monotonic() - waiting
            state, metrics = self._step(state, batch)
            pending.append(metrics)
            step += 1
            # A fixed window, so that a resumed run logs the same means.
            if step % LOG_EVERY_STEPS == 0 or step == self._spec.steps:
                means, skipped = _means(pending)
                pending.clear()
                progress.skipped_steps += skipped
                skipped_in_a_row = skipped_in_a_row + skipped if skipped else 0
                if skipped_in_a_row >= SKIPPED_IN_A_ROW:
                    state = self._roll_back(state, progress)
                    step, skipped_in_a_row = int(state.step), 0
                    continue
                if means:
                    if progress.loss_first is None:
                        progress.loss_first = means["loss"]
                    progress.loss_last = means["loss"]
                    self._journal.log(step, means)
                stopping = self._stop.is_set()
                if stopping or time.monotonic() - last_saved >= self._every:
                    save()
                if stopping:
                    raise PreemptedError(
                        "training runs to its last step", f"SIGTERM at step {step}"
                    )
        save()
        return state

    def _iterator(self, progress: Progress) -> Any:
        iterator = self._batches()
        if progress.data_state:
            iterator.set_state(progress.data_state)
        return iterator

    def _roll_back(self, state: TrainState, progress: Progress) -> TrainState:
        """Back to the last checkpoint, once, and on with the samples that follow."""
        restored = self._checkpoints.restore(state) if not progress.rollbacks else None
        if restored is None:
            raise DivergedError(
                "loss and gradients stay finite",
                f"{SKIPPED_IN_A_ROW} non-finite steps in a row at step "
                f"{int(state.step)}, after {progress.rollbacks} rollback",
                "lower train.learning_rate or train.clip_norm",
            )
        _log.warning("non-finite steps: back to step %d", int(restored[0].step))
        progress.rollbacks += 1
        return restored[0]


def _means(pending: list[dict[str, jax.Array]]) -> tuple[dict[str, float], int]:
    """Means over the finite steps, and the number of others."""
    rows = jax.device_get(pending)
    finite = [row for row in rows if not row["skipped"]]
    if not finite:
        return {}, len(rows)
    names = [name for name in rows[0] if name != "skipped"]
    means = {name: float(np.mean([row[name] for row in finite])) for name in names}
    return means, len(rows) - len(finite)


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """An event that SIGTERM sets; signals reach the main thread alone."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    previous = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)
