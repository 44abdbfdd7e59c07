"""The course of a training: steps, windows of metrics, checkpoints, early ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import grain
import jax
import jax.numpy as jnp
from flax import nnx

from rdc.errors import PreemptedError
from rdc.model import CompressionModel
from rdc.specs.checkpoint import WINDOW_STEPS
from rdc.specs.recipe import Recipe
from rdc.training.checkpoints import CheckpointTimer
from rdc.training.devices import DataParallel
from rdc.training.member import Member, Progress
from rdc.training.methods import ALL_WEIGHTS, Method
from rdc.training.stacking import InTurn, Mapped, Program, form_of
from rdc.training.step import (
    TrainState,
    compiled_step,
    initial_state,
    step_function,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Steps of a training that have one model and one method.

    Attributes:
      model: with the weights that its first step starts from.
      recipe: whose schedule begins with this part.
      first: steps of the training before it.
    """

    model: CompressionModel
    recipe: Recipe
    method: Method = ALL_WEIGHTS
    first: int = 0

    @property
    def end(self) -> int:
        """Its last step, of those of the training."""
        return self.first + self.recipe.steps

    @property
    def before(self) -> int:
        """Checkpoints of later steps than this are of this part."""
        return self.first if self.first else -1

    def fresh(self) -> TrainState:
        """The state before its first step."""
        state = initial_state(self.model, self.recipe, self.method)
        return replace(state, step=jnp.asarray(self.first, jnp.int32))


class Course:
    """Takes all members from their states to the last step of a part of their training.

    Args:
      part: whose steps these are.
      members: equal but for their rates, all at the same step.
      accumulate: micro-batches of a step.
      batches: at the first sample.
      stop: set when the process is asked to end.
    """

    def __init__(
        self,
        part: Part,
        members: Sequence[Member],
        *,
        accumulate: int,
        devices: DataParallel,
        batches: grain.DatasetIterator,
        timer: CheckpointTimer,
        stop: threading.Event,
    ):
        self._part, self._members = part, list(members)
        self._seed = members[0].spec.recipe.seed
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
        while step < self._part.end and self._members:
            batch = self._next_batch()
            joined, metrics = self._program(joined, batch)
            self._pending.append(metrics)
            step += 1
            if len(self._pending) > 1:
                # With one step in the queue the device is busy, and a stop is soon.
                jax.block_until_ready(self._pending[-2])
            # A fixed window, so that a resumed training logs the same means.
            if step % WINDOW_STEPS == 0 or step == self._part.end:
                self._end_window(step)
                if any(member.stuck for member in self._members):
                    step, joined = self._without_stuck(step, joined)
                    continue
                if self._timer.due(step):
                    self._save(joined)
            stops = self._devices.agreed(self._stop.is_set())
            if stops and step < self._members[0].spec.recipe.steps:
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
        key = jax.random.key(self._seed)
        part = self._part
        self._program: Program
        if form_of(len(lmbdas)) == "mapped":
            graph = nnx.graphdef(part.model)
            step = step_function(graph, part.recipe, self._accumulate, part.method)
            self._program = Mapped(step, lmbdas, key)
        else:
            settings = part.recipe, self._accumulate, part.method
            step = compiled_step(part.model, *settings)
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
        checkpoint = None
        if self._devices.leads:
            checkpoint = member.checkpoints.restore(like, above=self._part.before)
        if checkpoint is None:
            restored = jax.tree.map(jnp.copy, self._part.fresh())
        else:
            restored, progress = checkpoint
            member.progress.window = Progress(**progress).window
        window = member.progress.window
        member.progress.window = self._devices.values_from_first(window)
        return self._devices.from_first(restored)
