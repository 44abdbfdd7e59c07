"""Several rates of one architecture in one program.

Trainings that differ in `lmbda` alone see the same batches and the same noise. On an
accelerator that one small model does not fill, their states are stacked and the step
is mapped over them; elsewhere they take turns on each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.model import CompressionModel
from rdc.specs.training import TrainSpec
from rdc.training.step import Metrics, TrainState, step_function

Form = Literal["in_turn", "mapped"]

# Per backend; see docs/decisions/011-rates-in-one-program.md. A vmapped convolution is
# a grouped one, which XLA's CPU backend runs without its fast path.
FORM: dict[str, Form] = {"cpu": "in_turn", "default": "mapped"}


class Program(Protocol):
    """The steps of several rates: one state per rate in, one out."""

    def join(self, states: Sequence[TrainState]) -> Any:
        """The states in the form that a step takes; they are donated to it."""

    def split(self, joined: Any) -> list[TrainState]:
        """The inverse of `join`."""

    def __call__(self, joined: Any, batch: jax.Array) -> tuple[Any, Any]:
        """One step of every rate, and metrics for `by_rate`."""

    def by_rate(self, metrics: Any) -> list[dict[str, float]]:
        """The metrics of each rate, from what a step gave, read to the host."""


class InTurn:
    """Every rate's own step on the same batch."""

    def __init__(
        self, steps: Sequence[Callable[[Any, jax.Array], tuple[Any, Metrics]]]
    ):
        self._steps = list(steps)

    def join(self, states: Sequence[TrainState]) -> list[TrainState]:
        return list(states)

    def split(self, joined: list[TrainState]) -> list[TrainState]:
        return joined

    def __call__(
        self, joined: list[TrainState], batch: jax.Array
    ) -> tuple[list[TrainState], list[Metrics]]:
        results = [
            step(state, batch) for step, state in zip(self._steps, joined, strict=True)
        ]
        return [state for state, _ in results], [metrics for _, metrics in results]

    def by_rate(self, metrics: list[dict[str, float]]) -> list[dict[str, float]]:
        return metrics


# Everything of a state but the step number, which the rates share: so is the noise.
_AXES = TrainState(params=0, optimizer=0, step=None, average=0)  # type: ignore[arg-type]


class Mapped:
    """One step mapped over stacked states."""

    def __init__(self, model: CompressionModel, specs: Sequence[TrainSpec]):
        recipe = replace(specs[0], lmbda=1.0)
        step = step_function(nnx.graphdef(model), recipe)
        mapped = jax.vmap(step, in_axes=(_AXES, None, 0, None), out_axes=(_AXES, 0))
        self._step = jax.jit(mapped, donate_argnums=0)
        self._lmbdas = jnp.asarray([spec.lmbda for spec in specs])
        self._key = jax.random.key(recipe.seed)

    def join(self, states: Sequence[TrainState]) -> TrainState:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return replace(stacked, step=stacked.step[0])

    def split(self, joined: TrainState) -> list[TrainState]:
        rates = len(self._lmbdas)
        stacked = replace(joined, step=jnp.broadcast_to(joined.step, rates))
        return [jax.tree.map(itemgetter(i), stacked) for i in range(rates)]

    def __call__(
        self, joined: TrainState, batch: jax.Array
    ) -> tuple[TrainState, Metrics]:
        return self._step(joined, batch, self._lmbdas, self._key)

    def by_rate(self, metrics: dict[str, Any]) -> list[dict[str, float]]:
        rates = range(len(self._lmbdas))
        return [{name: row[i] for name, row in metrics.items()} for i in rates]


def form_of(rates: int) -> Form:
    """How so many rates are computed on the present backend."""
    if rates <= 1:
        return "in_turn"
    return FORM.get(jax.default_backend(), FORM["default"])
