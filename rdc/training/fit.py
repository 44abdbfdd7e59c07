"""One small loop that trains a module with a loss of its own, resumable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rdc.errors import DivergedError
from rdc.specs.base import Spec, added, require
from rdc.training.checkpoints import Checkpoints
from rdc.training.step import TrainState

_log = logging.getLogger(__name__)

Trained = TypeVar("Trained", bound=nnx.Module)
Batch = Any  # pytree of arrays
Loss = Callable[[Any, Batch, jax.Array], jax.Array]  # (trained, batch, key) -> f32[]


@dataclass(frozen=True, kw_only=True)
class FitRecipe(Spec):
    """How a module is trained; Adam.

    Attributes:
      tenths_at: shares of the steps at which the learning rate falls to a tenth.
      checkpoint_steps: between checkpoints.
      power: of a fall of the learning rate to 0 over all steps, lr (1 - t)^power, in
        place of `tenths_at`; 0.9 is DeepLab's.
    """

    steps: int
    learning_rate: float = 1e-3
    tenths_at: tuple[float, ...] = (0.5, 0.8)
    seed: int = 0
    checkpoint_steps: int = 1000
    power: float | None = added(None)

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps is positive", self.steps)
        require(self.learning_rate > 0, "learning_rate is positive", self.learning_rate)
        require(
            all(0 < share < 1 for share in self.tenths_at),
            "tenths_at are shares between 0 and 1",
            self.tenths_at,
        )
        require(
            self.checkpoint_steps >= 1,
            "checkpoint_steps is positive",
            self.checkpoint_steps,
        )

        if self.power is not None:
            require(self.power > 0, "power is positive", self.power)
            require(
                not self.tenths_at,
                "the learning rate falls by a power or at tenths_at",
                "both",
                "leave tenths_at empty",
            )

    def optimizer(self) -> optax.GradientTransformation:
        if self.power is not None:
            return optax.adam(
                optax.polynomial_schedule(self.learning_rate, 0, self.power, self.steps)
            )
        falls = {round(share * self.steps): 0.1 for share in self.tenths_at}
        return optax.adam(optax.piecewise_constant_schedule(self.learning_rate, falls))


def fit(
    module: Trained,
    loss: Loss,
    batch_of: Callable[[int], Batch],
    recipe: FitRecipe,
    checkpoints: Checkpoints,
) -> Trained:
    """The module with trained parameters; goes on from the newest checkpoint.

    Args:
      module: its `nnx.Param`s are trained, all else in it stays.
      loss: see `Loss`; what it holds beside `trained` is frozen.
      batch_of: the batch of a step, the same whenever it is asked for.

    Raises:
      DivergedError: a loss that is not finite, seen at a checkpoint.
    """
    graph, params, *rest = nnx.split(module, nnx.Param, ...)
    optimizer = recipe.optimizer()
    key = jax.random.key(recipe.seed)

    @jax.jit
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, jax.Array]:
        def of(params: Any) -> jax.Array:
            noise = jax.random.fold_in(key, state.step)
            # Copied: a module may write its statistics in this trace alone.
            trained = nnx.merge(graph, params, *rest, copy=True)
            return loss(trained, batch, noise)

        value, gradient = jax.value_and_grad(of)(state.params)
        update, moments = optimizer.update(gradient, state.optimizer)
        params = optax.apply_updates(state.params, update)
        return TrainState(params, moments, state.step + 1), value

    state = TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))
    if restored := checkpoints.restore(state):
        state, _ = restored
    for number in range(int(state.step), recipe.steps):
        state, value = step(state, batch_of(number))
        done = number + 1
        if done % recipe.checkpoint_steps == 0 or done == recipe.steps:
            if not jnp.isfinite(value):
                raise DivergedError(
                    "the loss is finite",
                    f"{float(value)} at step {done}",
                    "train with a smaller learning_rate",
                )
            checkpoints.save(state, {})
            _log.info("step %d of %d: loss %.4f", done, recipe.steps, value)
    return nnx.merge(graph, state.params, *rest)
