"""Several models of one architecture in one program.

Models that differ in their rates alone see the same batches and the same noise. They
take turns on each batch; or their states are stacked and the step is mapped over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp

from rdc.training.step import Metrics, StepFunction, TrainState, compiled

Form = Literal["in_turn", "mapped"]

# Per backend; see docs/decisions/011-rates-in-one-program.md. A vmapped convolution is
# a grouped one: XLA's CPU backend has no fast path for it, cuDNN its slowest. A backend
# on which `mapped` was measured and won gets a line.
FORM: dict[str, Form] = {"default": "in_turn"}


class Program(Protocol):
    """The steps of several models: one state per model in, one out."""

    def join(self, states: Sequence[TrainState]) -> Any:
        """The states in the form that a step takes; they are donated to it."""

    def split(self, joined: Any) -> list[TrainState]:
        """The inverse of `join`."""

    def __call__(self, joined: Any, batch: jax.Array) -> tuple[Any, Any]:
        """One step of every model, and metrics for `by_model`."""

    def by_model(self, metrics: Any) -> list[dict[str, float]]:
        """The metrics of each model, from what a step gave, read to the host."""


class InTurn:
    """Every model's own step on the same batch.

    Args:
      step: compiled.
      lmbdas: of each model, one per rate.
      key: of the noise.
    """

    def __init__(
        self, step: StepFunction, lmbdas: Sequence[Sequence[float]], key: jax.Array
    ):
        self._step, self._key = step, key
        self._lmbdas = [jnp.asarray(of_model, jnp.float32) for of_model in lmbdas]

    def join(self, states: Sequence[TrainState]) -> list[TrainState]:
        return list(states)

    def split(self, joined: list[TrainState]) -> list[TrainState]:
        return joined

    def __call__(
        self, joined: list[TrainState], batch: jax.Array
    ) -> tuple[list[TrainState], list[Metrics]]:
        results = [
            self._step(state, batch, lmbdas, self._key)
            for state, lmbdas in zip(joined, self._lmbdas, strict=True)
        ]
        return [state for state, _ in results], [metrics for _, metrics in results]

    def by_model(self, metrics: list[dict[str, Any]]) -> list[dict[str, float]]:
        return [{name: float(v) for name, v in row.items()} for row in metrics]


# Everything of a state but the step number, which the models share: so is the noise.
_AXES = TrainState(params=0, optimizer=0, step=None, average=0)  # type: ignore[arg-type]


class Mapped:
    """One step mapped over stacked states, and compiled so.

    Args:
      step: a pure function; `lmbdas` and `key` as of `InTurn`.
    """

    def __init__(
        self, step: StepFunction, lmbdas: Sequence[Sequence[float]], key: jax.Array
    ):
        mapped = jax.vmap(step, in_axes=(_AXES, None, 0, None), out_axes=(_AXES, 0))
        self._step = compiled(mapped)
        self._lmbdas, self._key = jnp.asarray(lmbdas, jnp.float32), key

    def join(self, states: Sequence[TrainState]) -> TrainState:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return replace(stacked, step=stacked.step[0])

    def split(self, joined: TrainState) -> list[TrainState]:
        models = len(self._lmbdas)
        stacked = replace(joined, step=jnp.broadcast_to(joined.step, models))
        return [jax.tree.map(itemgetter(i), stacked) for i in range(models)]

    def __call__(
        self, joined: TrainState, batch: jax.Array
    ) -> tuple[TrainState, Metrics]:
        return self._step(joined, batch, self._lmbdas, self._key)

    def by_model(self, metrics: dict[str, Any]) -> list[dict[str, float]]:
        models = range(len(self._lmbdas))
        return [{name: float(row[i]) for name, row in metrics.items()} for i in models]


def form_of(models: int) -> Form:
    """How so many models are computed on the present backend."""
    if models <= 1:
        return "in_turn"
    return FORM.get(jax.default_backend(), FORM["default"])
