"""The course of a training: steps, windows of metrics, checkpoints, early ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import grain
import jax
import jax.numpy as jnp
from flax import nnx

from rdc.errors import PreemptedError
from rdc.model import CompressionModel
from rdc.specs.checkpoint import WINDOW_STEPS
from rdc.training.checkpoints import CheckpointTimer
from rdc.training.devices import DataParallel
from rdc.training.member import Member, Progress
from rdc.training.stacking import InTurn, Mapped, Program, form_of
from rdc.training.step import (
    TrainState,
    compiled_step,
    initial_state,
    step_function,
)

_log = logging.getLogger(__name__)


class Course:
    """Takes all members from their states to the last step.

    Args:
      model: with the weights of step 0.
      members: equal but for their rates, all at the same step.
      accumulate: micro-batches of a step.
      batches: at the first sample.
      stop: set when the process is asked to end.
    """

    def __init__(
        self,
        model: CompressionModel,
        members: Sequence[Member],
        *,
        accumulate: int,
        devices: DataParallel,
        batches: grain.DatasetIterator,
        timer: CheckpointTimer,
        stop: threading.Event,
    ):
        self._model, self._members = model, list(members)
        self._recipe = members[0].spec.recipe
        self._accumulate, self._devices = accumulate, devices
        self._batches, self._timer, self._stop = batches, timer, stop
        # Members that go on together have all come to the same sample.
        if members[0].progress.data_state:
            self._batches.set_state(members[0].progress.data_state)
        self._pending: list[Any] = []  # metrics of steps, still on the device
        self._counted = self._window_began = time.monotonic()
        self._window_steps = 0  # since then, in this process
        self._input_seconds = 0.0  # since then, spent waiting for images

    def to_the_end(self, states: Sequence[TrainState]) -> None:
        """Trains all members; each gets its final state or its error.

        Raises:
          DivergedError: of the only member.
          PreemptedError: the process was asked to stop; checkpoints were written.
        """
        step = int(states[0].step)
        joined = self._join(states)
        while step < self._recipe.steps and self._members:
            batch = self._next_batch()
            joined, metrics = self._program(joined, batch)
            self._pending.append(metrics)
            step += 1
            if len(self._pending) > 1:
                # With one step in the queue the device is busy, and a stop is soon.
                jax.block_until_ready(self._pending[-2])
            # A fixed window, so that a resumed training logs the same means.
            if step % WINDOW_STEPS == 0 or step == self._recipe.steps:
                self._end_window(step)
                if any(member.stuck for member in self._members):
                    step, joined = self._without_stuck(step, joined)
                    continue
                if self._timer.due(step):
                    self._save(joined)
            stops = self._devices.agreed(self._stop.is_set())
            if stops and step < self._recipe.steps:
                self._save(joined)
                raise PreemptedError(
                    "training runs to its last step", f"SIGTERM at step {step}"
                )
        self._save(joined)
        states = self._split(joined)
        for member, state in zip(self._members, states, strict=True):
            member.final = state

    def _join(self, states: Sequence[TrainState]) -> Any:
        """The states of all members for a program of these members."""
        lmbdas = [member.spec.rates for member in self._members]
        key = jax.random.key(self._recipe.seed)
        self._program: Program
        if form_of(len(lmbdas)) == "mapped":
            graph = nnx.graphdef(self._model)
            step = step_function(graph, self._recipe, self._accumulate)
            self._program = Mapped(step, lmbdas, key)
        else:
            step = compiled_step(self._model, self._recipe, self._accumulate)
            self._program = InTurn(step, lmbdas, key)
        return self._devices.replicate(self._program.join(states))

    def _split(self, joined: Any) -> list[TrainState]:
        """The inverse of `_join`."""
        return self._program.split(self._devices.own(joined))

    def _next_batch(self) -> Any:
        began = time.monotonic()
        batch = self._devices.divide(next(self._batches))
        self._input_seconds += time.monotonic() - began
        return batch

    def _fetch(self) -> None:
        """Gives the members the metrics of all steps done so far."""
        for metrics in jax.device_get(self._pending):
            rows = self._program.by_model(metrics)
            for member, row in zip(self._members, rows, strict=True):
                member.note([row])
        self._window_steps += len(self._pending)
        self._pending.clear()

    def _end_window(self, step: int) -> None:
        self._fetch()
        seconds = time.monotonic() - self._window_began
        speed = {
            "steps_per_second": self._window_steps / seconds,
            "input_share": self._input_seconds / seconds,
        }
        for member in self._members:
            member.log(step, speed)
        self._count_input()

    def _count_input(self) -> None:
        for member in self._members:
            member.progress.input_seconds += self._input_seconds
        self._window_began = time.monotonic()
        self._window_steps, self._input_seconds = 0, 0.0

    def _save(self, joined: Any) -> None:
        if self._pending:
            self._fetch()
            self._count_input()
        began = time.monotonic()
        states = self._split(joined)
        for member, state in zip(self._members, states, strict=True):
            member.progress.train_seconds += began - self._counted
            member.progress.data_state = self._batches.get_state()
            if self._devices.leads:
                member.checkpoints.save(state, asdict(member.progress))
        self._counted = began
        seconds = time.monotonic() - began
        self._timer.saved(seconds)
        for member in self._members:
            member.progress.checkpoint_seconds += seconds

    def _without_stuck(self, step: int, joined: Any) -> tuple[int, Any]:
        """A member alone returns to its last checkpoint, or the start, once, and goes
        on with the samples that follow; one beside others leaves them."""
        states = self._split(joined)
        if len(states) == 1:
            (member,), (state,) = self._members, states
            if member.progress.rollbacks:
                raise member.divergence(step)
            restored = self._rolled_back(member, state)
            _log.warning("non-finite steps: back to step %d", int(restored.step))
            return int(restored.step), self._join([restored])
        kept = []
        for member, state in zip(list(self._members), states, strict=True):
            if member.stuck:
                member.diverged = member.divergence(step)
                self._members.remove(member)
                rates = " ".join(f"{lmbda:g}" for lmbda in member.spec.rates)
                _log.warning("lmbda %s leaves: %s", rates, member.diverged)
            else:
                kept.append(state)
        return step, self._join(kept)

    def _rolled_back(self, member: Member, like: TrainState) -> TrainState:
        member.progress.rollbacks += 1
        member.skipped_in_a_row = 0
        member.progress.window = []
        checkpoint = member.checkpoints.restore(like) if self._devices.leads else None
        if checkpoint is None:
            fresh = initial_state(self._model, self._recipe)
            restored = jax.tree.map(jnp.copy, fresh)
        else:
            restored, progress = checkpoint
            member.progress.window = Progress(**progress).window
        window = member.progress.window
        member.progress.window = self._devices.values_from_first(window)
        return self._devices.from_first(restored)
