"""The training of one architecture, from the first step or a checkpoint to the last.

A process trains one rate, or several: runs that differ in `lmbda` alone. Each has its
own folder, checkpoints, journal and record, and can go on alone or with the others.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp

from rdc.architectures import build
from rdc.data.image_sets import list_images, usable_images
from rdc.errors import ConfigError, DivergedError, PreemptedError
from rdc.jobs.job import Assignment, Request, TrainJob
from rdc.model import CompressionModel
from rdc.specs.training import WINDOW_STEPS, TrainSpec
from rdc.training.checkpoints import Checkpoints, CheckpointTimer
from rdc.training.devices import DataParallel
from rdc.training.input import training_batches, training_images
from rdc.training.journal import Journal
from rdc.training.member import Progress, Run, Trained
from rdc.training.stacking import InTurn, Mapped, Program, form_of
from rdc.training.start import START_CROPS, start_from_principal_components
from rdc.training.step import TrainState, initial_state, make_step

_log = logging.getLogger(__name__)


def train(job: TrainJob, request: Request, folder: Path) -> Trained:
    """Trains `job` and writes metrics and checkpoints into `folder`.

    Resumes from the newest readable checkpoint of `request.resume_from`; the result
    is then bit-equal to that of an undisturbed run on the same device.

    Raises:
      DataError: no usable images.
      DivergedError: steps stay non-finite after one return to a checkpoint.
      PreemptedError: SIGTERM came; a checkpoint was written.
    """
    (outcome,) = train_together([Assignment(job, request, folder)])
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


def train_together(
    members: Sequence[Assignment[TrainJob]],
) -> list[Trained | DivergedError]:
    """Trains runs that differ in `lmbda` alone; one outcome per member.

    They resume from the newest step of which all have a readable checkpoint. One of
    several that diverges leaves, and the others go on.

    Raises:
      ConfigError: the runs differ in more than `lmbda`.
      DataError, PreemptedError: as `train`.
    """
    job, request = members[0].job, members[0].request
    _check_alike([member.job for member in members])
    spec = replace(job.train, accumulate=micro_batches(job.train, request.accumulate))
    assert request.images is not None
    paths, skipped = usable_images(list_images(request.images), spec.crop_px)
    images = training_images(paths)

    def batches(batch_size: int = spec.batch_size) -> Any:
        return training_batches(
            images,
            crop_px=spec.crop_px,
            batch_size=batch_size,
            seed=spec.seed,
            steps=spec.steps,
        )

    model = build(job.architecture, seed=spec.seed)
    if spec.start == "principal_components":
        start_from_principal_components(model, next(batches(START_CROPS)))
    devices = DataParallel(spec.batch_size // spec.accumulate)
    with ExitStack() as stack:
        runs = [
            Run(
                member.job,
                replace(spec, lmbda=member.job.train.lmbda),
                Checkpoints(
                    member.folder / "checkpoint",
                    [Path(p) / "checkpoint" for p in member.request.resume_from],
                    member.job.job_id,
                    request.checkpoint.keep,
                ),
                stack.enter_context(
                    Journal(member.folder, spec.steps, bar=member is members[0])
                ),
            )
            for member in members
        ]
        states = restore_together(runs, initial_state(model, spec))
        _log.info("step %d of %d", runs[0].resumed_from, spec.steps)
        stop = stack.enter_context(_stop_request())
        timer = CheckpointTimer(request.checkpoint)
        _Loop(model, runs, devices, batches, timer, stop).to_the_end(states)

    environment = {
        "devices": devices.count,
        "rates_together": len(runs),
        "skipped_images": len(skipped) + len(images.damaged),
    }
    return [run.diverged or run.trained(model, environment) for run in runs]


def _check_alike(jobs: Sequence[TrainJob]) -> None:
    alike = {replace(job, train=replace(job.train, lmbda=1.0)) for job in jobs}
    if len(alike) > 1:
        raise ConfigError(
            "runs that are trained together differ in train.lmbda alone",
            ", ".join(job.job_id for job in jobs),
        )


def micro_batches(spec: TrainSpec, factor: int) -> int:
    """The first divisor of the batch from `factor` times the recipe's number on."""
    least = min(spec.accumulate * factor, spec.batch_size)
    divisors = range(least, spec.batch_size + 1)
    return next(n for n in divisors if spec.batch_size % n == 0)


def restore_together(runs: Sequence[Run], fresh: TrainState) -> list[TrainState]:
    """A state per run, all of the newest step that every run can read."""
    at_most = None
    while True:
        found = [run.checkpoints.restore(fresh, at_most) for run in runs]
        readable = [checkpoint for checkpoint in found if checkpoint is not None]
        if len(readable) < len(runs):
            if readable:
                _log.warning("no step has checkpoints of all rates: from the start")
            # A step gives its state away, so that each needs its own.
            return [jax.tree.map(jnp.copy, fresh) for _ in runs]
        steps = {int(state.step) for state, _ in readable}
        if len(steps) == 1:
            for run, (_, progress) in zip(runs, readable, strict=True):
                run.progress, run.resumed_from = Progress(**progress), min(steps)
            return [state for state, _ in readable]
        at_most = min(steps)


class _Loop:
    """Steps, windows of metrics, checkpoints, and the end of runs that diverge."""

    def __init__(
        self,
        model: CompressionModel,
        runs: Sequence[Run],
        devices: DataParallel,
        batches: Callable[[], Any],
        timer: CheckpointTimer,
        stop: threading.Event,
    ):
        self._model, self._runs, self._devices = model, list(runs), devices
        self._timer, self._stop = timer, stop
        self._steps = runs[0].spec.steps
        self._iterator = batches()
        # Rates that go on together have all come to the same sample.
        if runs[0].progress.data_state:
            self._iterator.set_state(runs[0].progress.data_state)
        self._counted = self._window_began = time.monotonic()
        self._input_seconds = 0.0  # of the window, spent waiting for images

    def to_the_end(self, states: list[TrainState]) -> None:
        """Trains all runs; each gets its final state or its error."""
        step = int(states[0].step)
        joined = self._join(states)
        pending: list[Any] = []
        while step < self._steps and self._runs:
            batch = self._next_batch()
            joined, metrics = self._program(joined, batch)
            pending.append(metrics)
            step += 1
            # A fixed window, so that a resumed run logs the same means.
            if step % WINDOW_STEPS and step < self._steps:
                continue
            self._log(step, pending)
            pending.clear()
            if any(run.stuck for run in self._runs):
                step, joined = self._without_stuck(step, joined)
                continue
            stopping = self._stop.is_set()
            if stopping or self._timer.due(step):
                self._save(joined)
            if stopping:
                raise PreemptedError(
                    "training runs to its last step", f"SIGTERM at step {step}"
                )
        self._save(joined)
        for run, state in zip(self._runs, self._program.split(joined), strict=True):
            run.final = state

    def _join(self, states: Sequence[TrainState]) -> Any:
        """The states of all runs for a program of these runs."""
        specs = [run.spec for run in self._runs]
        self._program: Program = (
            Mapped(self._model, specs)
            if form_of(len(specs)) == "mapped"
            else InTurn([make_step(self._model, spec) for spec in specs])
        )
        return self._devices.replicate(self._program.join(states))

    def _next_batch(self) -> Any:
        began = time.monotonic()
        batch = self._devices.divide(next(self._iterator))
        self._input_seconds += time.monotonic() - began
        return batch

    def _log(self, step: int, pending: list[Any]) -> None:
        rows = [self._program.by_rate(metrics) for metrics in jax.device_get(pending)]
        seconds = time.monotonic() - self._window_began
        speed = {
            "steps_per_second": len(pending) / seconds,
            "input_share": self._input_seconds / seconds,
        }
        for run, own in zip(self._runs, zip(*rows, strict=True), strict=True):
            run.progress.input_seconds += self._input_seconds
            run.log(step, own, speed)
        self._window_began, self._input_seconds = time.monotonic(), 0.0

    def _save(self, joined: Any) -> None:
        began = time.monotonic()
        for run, state in zip(self._runs, self._program.split(joined), strict=True):
            run.progress.train_seconds += began - self._counted
            run.progress.data_state = self._iterator.get_state()
            run.checkpoints.save(state, asdict(run.progress))
        self._counted = began
        seconds = time.monotonic() - began
        self._timer.saved(seconds)
        for run in self._runs:
            run.progress.checkpoint_seconds += seconds

    def _without_stuck(self, step: int, joined: Any) -> tuple[int, Any]:
        """A run alone returns to its last checkpoint, or the start, once, and goes on
        with the samples that follow; one beside others leaves them."""
        states = self._program.split(joined)
        if len(states) == 1:
            (run,), (state,) = self._runs, states
            if run.progress.rollbacks:
                raise run.divergence(step)
            checkpoint = run.checkpoints.restore(state)
            if checkpoint is None:
                fresh = initial_state(self._model, run.spec)
                restored = jax.tree.map(jnp.copy, fresh)
            else:
                restored, _ = checkpoint
            _log.warning("non-finite steps: back to step %d", int(restored.step))
            run.progress.rollbacks += 1
            run.skipped_in_a_row = 0
            return int(restored.step), self._join([restored])
        kept = []
        for run, state in zip(list(self._runs), states, strict=True):
            if run.stuck:
                run.diverged = run.divergence(step)
                self._runs.remove(run)
                _log.warning("lmbda %g leaves: %s", run.spec.lmbda, run.diverged)
            else:
                kept.append(state)
        return step, self._join(kept)


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
