"""One training step: loss, gradient, clipped Adam, and refusal of non-finite ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rdc.model import CompressionModel
from rdc.ops.distortions import DISTORTIONS, mse_255
from rdc.specs.recipe import Recipe
from rdc.training.networks import prepare

Metrics = dict[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that training changes: what a checkpoint holds."""

    params: Any
    optimizer: Any
    step: jax.Array  # int32[], steps done, skipped ones included
    average: Any = None  # of the weights; None where the recipe has no `ema`


def schedule(recipe: Recipe) -> optax.Schedule:
    """Linear warm-up, the full rate, then cosine decay from `decay_start` on."""
    rate = recipe.learning_rate
    warmup = optax.linear_schedule(0.0, rate, max(recipe.warmup, 1))
    if recipe.decay == "constant":
        rest: optax.Schedule = optax.constant_schedule(rate)
        return optax.join_schedules([warmup, rest], [recipe.warmup])
    start = max(round(recipe.decay_start * recipe.steps), recipe.warmup)
    decay = optax.cosine_decay_schedule(
        rate, max(recipe.steps - start, 1), recipe.final_learning_rate_ratio
    )
    constant = optax.constant_schedule(rate)
    return optax.join_schedules([warmup, constant, decay], [recipe.warmup, start])


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Adam behind clipping of the global gradient norm."""
    return optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm), optax.adam(schedule(recipe))
    )


def training_loss(
    model: CompressionModel,
    x: jax.Array,
    key: jax.Array,
    lmbda: float | jax.Array,
    distortion: str = "mse",
) -> tuple[jax.Array, Metrics]:
    """bpp + lmbda * distortion, with its parts.

    Args:
      x: f32[B,H,W,3] in [0,1].
      key: of the noise, key[] or one per image, key[B].
    """
    output = model(x, key)
    x_hat = output.x_hat.astype(jnp.float32)
    pixels = x.shape[1] * x.shape[2]
    bpp_z = jnp.mean(output.bits_z) / pixels
    bpp = jnp.mean(output.bits_y) / pixels + bpp_z
    distorted = DISTORTIONS[distortion].function(x, x_hat)
    loss = bpp + lmbda * distorted
    return loss, {
        "loss": loss,
        "bpp": bpp,
        "bpp_z": bpp_z,
        "mse_255": mse_255(x, x_hat),
        "distortion": distorted,
    }


def initial_state(model: CompressionModel, recipe: Recipe) -> TrainState:
    """The state before the first step, with the weights of `model`."""
    params = nnx.state(model, nnx.Param)
    return TrainState(
        params=params,
        optimizer=optimizer(recipe).init(params),
        step=jnp.zeros((), jnp.int32),
        average=jax.tree.map(jnp.copy, params) if recipe.ema else None,
    )


# (state, u8[B,H,W,3], lmbda, key) -> (state, metrics)
StepFunction = Callable[
    [TrainState, jax.Array, jax.Array | float, jax.Array], tuple[TrainState, Metrics]
]


def step_function(graph: nnx.GraphDef, recipe: Recipe, accumulate: int) -> StepFunction:
    """The step of a training as a pure function.

    Its noise depends on `key` and the step number alone. A step whose loss or gradient
    is not finite changes no weight and reports `skipped` = 1.

    Args:
      accumulate: micro-batches of a step; the recipe's, or more where memory is short.
    """
    transformation = optimizer(recipe)

    def loss(
        params: Any, batch: jax.Array, keys: jax.Array, lmbda: jax.Array | float
    ) -> tuple[jax.Array, Metrics]:
        model = nnx.merge(graph, params)
        prepare(model, recipe.precision, recipe.remat)
        x = batch.astype(jnp.float32) / 255.0
        return training_loss(model, x, keys, lmbda, recipe.distortion)

    def step(
        state: TrainState, batch: jax.Array, lmbda: jax.Array | float, key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        keys = jax.random.split(jax.random.fold_in(key, state.step), batch.shape[0])

        def gradients(batch: jax.Array, keys: jax.Array) -> tuple[Any, Metrics]:
            return jax.grad(loss, has_aux=True)(state.params, batch, keys, lmbda)

        gradient, metrics = accumulated(gradients, accumulate, batch, keys)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
        updates, new_optimizer = transformation.update(
            gradient, state.optimizer, state.params
        )
        new_params = optax.apply_updates(state.params, updates)
        new_state = TrainState(
            params=new_params,
            optimizer=new_optimizer,
            step=state.step,
            average=_averaged(state, new_params, recipe.ema),
        )
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new_state, state)
        skipped = 1.0 - finite.astype(jnp.float32)
        return (
            replace(kept, step=state.step + 1),
            {**metrics, "gradient_norm": norm, "skipped": skipped},
        )

    return step


def accumulated(function: Callable[..., Any], count: int, *batch: jax.Array) -> Any:
    """Mean of `function` over `count` micro-batches, in float32.

    Sample i goes to micro-batch i mod `count`: each device then has its share of every
    micro-batch of a batch that is split over devices.
    """
    if count == 1:
        return function(*batch)
    micro = jax.tree.map(
        lambda a: a.reshape(-1, count, *a.shape[1:]).swapaxes(0, 1), batch
    )
    shapes = jax.eval_shape(function, *jax.tree.map(lambda a: a[0], micro))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.float32), shapes)

    def add(total: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(*part)), None

    # In the body of a loop, XLA's convolutions on CPU are 30 x slower.
    total, _ = jax.lax.scan(add, zeros, micro, unroll=jax.default_backend() == "cpu")
    return jax.tree.map(lambda t: t / count, total)


def _averaged(state: TrainState, params: Any, ema: float) -> Any:
    """The moving average of the weights, over fewer steps at the start."""
    if state.average is None:
        return None
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(ema, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: p + decay * (a - p), state.average, params)


def compiled_step(
    model: CompressionModel, recipe: Recipe, accumulate: int | None = None
) -> StepFunction:
    """`step_function`, compiled at its first call; the state is donated to it.

    Args:
      model: its structure; the weights are in the state.
      accumulate: None: the recipe's.
    """
    if accumulate is None:
        accumulate = recipe.accumulate
    return _compiled(nnx.graphdef(model), recipe, accumulate)


@lru_cache(maxsize=4)
def _compiled(graph: nnx.GraphDef, recipe: Recipe, accumulate: int) -> StepFunction:
    return jax.jit(step_function(graph, recipe, accumulate), donate_argnums=0)
