"""One small loop that trains a module with a loss of its own, resumable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import grain
import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rdc.errors import DivergedError
from rdc.specs.tasks import FitRecipe
from rdc.system.hardware import cpu_threads
from rdc.training.checkpoints import Checkpoints
from rdc.training.step import TrainState, compiler_options

_MOST_THREADS = 8  # that make batches: a fifth of decoding holds Python's lock
_log = logging.getLogger(__name__)

Trained = TypeVar("Trained", bound=nnx.Module)
Batch = Any  # pytree of arrays
Progress = Callable[[int, int, float], None]  # step, of how many, its loss
Loss = Callable[[Any, Batch, jax.Array], jax.Array]  # (trained, batch, key) -> f32[]


def optimizer_of(recipe: FitRecipe) -> optax.GradientTransformation:
    """As its recipe says, over all steps."""
    spec, steps = recipe.optimizer, recipe.steps
    if spec.decay == "cosine":
        rate: Any = optax.cosine_decay_schedule(spec.learning_rate, steps)
    elif spec.decay == "poly":
        rate = optax.polynomial_schedule(spec.learning_rate, 0.0, 0.9, steps)
    else:
        falls = {round(share * steps): 0.1 for share in spec.tenths_at}
        rate = optax.piecewise_constant_schedule(spec.learning_rate, falls)
    moved = optax.adam(rate) if spec.name == "adam" else optax.sgd(rate, momentum=0.9)
    if spec.density_rate != 1:
        faster = optax.masked(optax.scale(spec.density_rate), _of_densities)
        moved = optax.chain(moved, faster)
    if not spec.weight_decay:
        return moved
    return optax.chain(optax.add_decayed_weights(spec.weight_decay), moved)


def _of_densities(params: Any) -> Any:
    """True for parameters of a `density`, such as that of `rdc.split.priors`."""

    def is_one(path: Any, _leaf: Any) -> bool:
        return "density" in jax.tree_util.keystr(path)

    return jax.tree_util.tree_map_with_path(is_one, params)


def fit(
    module: Trained,
    loss: Loss,
    batch_of: Callable[[int], Batch],
    recipe: FitRecipe,
    checkpoints: Checkpoints,
    progress: Progress | None = None,
) -> Trained:
    """The module with trained parameters; goes on from the newest checkpoint.

    Args:
      module: its `nnx.Param`s are trained, all else in it stays.
      progress: is told of each checkpoint.
      loss: see `Loss`; what it holds beside `trained` is frozen.
      batch_of: the batch of a step, the same whenever it is asked for; threads ask.

    Raises:
      DivergedError: a loss that is not finite, seen at a checkpoint.
    """
    graph, params, *rest = nnx.split(module, nnx.Param, ...)
    optimizer = optimizer_of(recipe)
    key = jax.random.key(recipe.seed)

    @partial(jax.jit, compiler_options=compiler_options())
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, jax.Array]:
        def of(params: Any) -> jax.Array:
            noise = jax.random.fold_in(key, state.step)
            # Copied: a module may write its statistics in this trace alone.
            trained = nnx.merge(graph, params, *rest, copy=True)
            return loss(trained, batch, noise)

        value, gradient = jax.value_and_grad(of)(state.params)
        update, moments = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, update)
        return TrainState(params, moments, state.step + 1), value

    state = TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))
    if restored := checkpoints.restore(state):
        state, _ = restored
    threads = min(cpu_threads(), _MOST_THREADS)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    first = int(state.step)
    batches = grain.MapDataset.range(first, recipe.steps).map(batch_of)
    for done, batch in enumerate(batches.to_iter_dataset(options), first + 1):
        state, value = step(state, batch)
        if done % recipe.checkpoint_steps == 0 or done == recipe.steps:
            if not jnp.isfinite(value):
                raise DivergedError(
                    "the loss is finite",
                    f"{float(value)} at step {done}",
                    "train with a smaller learning_rate",
                )
            checkpoints.save(state, {})
            _log.info("step %d of %d: loss %.4f", done, recipe.steps, value)
            if progress is not None:
                progress(done, recipe.steps, float(value))
    return nnx.merge(graph, state.params, *rest)
