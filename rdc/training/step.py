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

from rdc.layers import Rate
from rdc.model import CompressionModel
from rdc.ops.backend import backend
from rdc.ops.distortions import DISTORTIONS, mse_255
from rdc.specs.recipe import Recipe
from rdc.training.methods import ALL_WEIGHTS, Method
from rdc.training.networks import prepare
from rdc.training.optimizers import optimizer

Metrics = dict[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that training changes: what a checkpoint holds."""

    params: Any
    optimizer: Any
    step: jax.Array  # int32[], steps done, skipped ones included
    average: Any = None  # of the weights; None where the recipe has no `ema`


def training_loss(
    model: CompressionModel,
    x: jax.Array,
    key: jax.Array,
    lmbdas: jax.Array | float,
    distortion: str = "mse",
) -> tuple[jax.Array, Metrics]:
    """bpp + lmbda * distortion, with its parts.

    Of several rates, each image is given one of them, and images weigh with
    1 / sqrt(lmbda) over that of the middle rate: the loss grows nearly so, and without
    it the high rates would train the networks for all.

    Args:
      x: f32[B,H,W,3] in [0,1].
      key: of the noise, key[] or one per image, key[B]; of the rates, too, and then
        one per image.
      lmbdas: of the model's rates, f32[N]; a number where it has one.
    """
    rate, lmbda, weight = _drawn_rates(key, jnp.atleast_1d(lmbdas))
    output = model(x, key, rate)
    x_hat = output.x_hat.astype(jnp.float32)
    pixels = x.shape[1] * x.shape[2]
    bpp_z = output.bits_z / pixels
    bpp = output.bits_y / pixels + bpp_z
    distorted = DISTORTIONS[distortion].function(x, x_hat)
    parts = {
        "loss": weight * (bpp + lmbda * distorted),
        "bpp": bpp,
        "bpp_z": bpp_z,
        "mse_255": mse_255(x, x_hat),
        "distortion": distorted,
    }
    means = {name: jnp.mean(values) for name, values in parts.items()}
    return means["loss"], means


def _drawn_rates(
    keys: jax.Array, lmbdas: jax.Array
) -> tuple[Rate, jax.Array, float | jax.Array]:
    """(rate, lmbda, weight) of each image, f32[B]; with one rate for all, numbers."""
    if len(lmbdas) == 1:
        return 0, lmbdas[0], 1.0

    def draw(key: jax.Array) -> jax.Array:
        # `model` splits this key for its noise, which the rate must not depend on.
        return jax.random.randint(jax.random.fold_in(key, 2), (), 0, len(lmbdas))

    rate = jax.vmap(draw)(keys)
    lmbda = lmbdas[rate]
    weight = jnp.exp(0.5 * (jnp.mean(jnp.log(lmbdas)) - jnp.log(lmbda)))
    return rate.astype(jnp.float32), lmbda, weight


def initial_state(
    model: CompressionModel, recipe: Recipe, method: Method = ALL_WEIGHTS
) -> TrainState:
    """The state before the first step, with the weights of `model`."""
    params = method.initial(model)
    return TrainState(
        params=params,
        optimizer=optimizer(recipe).init(params),
        step=jnp.zeros((), jnp.int32),
        average=jax.tree.map(jnp.copy, params) if recipe.ema else None,
    )


# (state, u8[B,H,W,3], lmbdas f32[N], key) -> (state, metrics)
StepFunction = Callable[
    [TrainState, jax.Array, jax.Array, jax.Array], tuple[TrainState, Metrics]
]


def step_function(
    graph: nnx.GraphDef,
    recipe: Recipe,
    accumulate: int,
    method: Method = ALL_WEIGHTS,
) -> StepFunction:
    """The step of a training as a pure function.

    Its noise, and the rates of images, depend on `key` and the step number alone. A
    step whose loss or gradient is not finite changes no weight and reports `skipped`.

    Args:
      accumulate: micro-batches of a step; the recipe's, or more where memory is short.
    """
    transformation = optimizer(recipe)

    def loss(
        params: Any, batch: jax.Array, keys: jax.Array, lmbdas: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        model = method.model(graph, params)
        prepare(model, recipe.precision, recipe.remat)
        x = batch.astype(jnp.float32) / 255.0
        return training_loss(model, x, keys, lmbdas, recipe.distortion)

    def step(
        state: TrainState, batch: jax.Array, lmbdas: jax.Array, key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        keys = jax.random.split(jax.random.fold_in(key, state.step), batch.shape[0])

        def gradients(batch: jax.Array, keys: jax.Array) -> tuple[Any, Metrics]:
            return jax.grad(loss, has_aux=True)(state.params, batch, keys, lmbdas)

        gradient, metrics = accumulated(gradients, accumulate, batch, keys)
        gradient = method.gradient(gradient)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
        updates, new_optimizer = transformation.update(
            gradient, state.optimizer, state.params
        )
        new_params = optax.apply_updates(state.params, updates)
        new_params = method.updated(state.params, new_params)
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
    total, _ = jax.lax.scan(add, zeros, micro, unroll=backend() == "cpu")
    return jax.tree.map(lambda t: t / count, total)


def _averaged(state: TrainState, params: Any, ema: float) -> Any:
    """The moving average of the weights, over fewer steps at the start."""
    if state.average is None:
        return None
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(ema, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: p + decay * (a - p), state.average, params)


def compiled_step(
    model: CompressionModel,
    recipe: Recipe,
    accumulate: int | None = None,
    method: Method = ALL_WEIGHTS,
) -> StepFunction:
    """`step_function`, compiled at its first call; the state is donated to it.

    Args:
      model: its structure; the weights are in the state.
      accumulate: None: the recipe's.
    """
    if accumulate is None:
        accumulate = recipe.accumulate
    return _compiled(nnx.graphdef(model), recipe, accumulate, method)


@lru_cache(maxsize=4)
def _compiled(
    graph: nnx.GraphDef, recipe: Recipe, accumulate: int, method: Method
) -> StepFunction:
    return compiled(step_function(graph, recipe, accumulate, method))


def compiled(step: StepFunction) -> StepFunction:
    """`step`, compiled at its first call; the state is donated to it."""
    return jax.jit(step, donate_argnums=0, compiler_options=compiler_options())


def compiler_options() -> dict[str, Any]:
    """Of a training step."""
    if jax.default_backend() != "cpu":
        return {}
    # A fifth less time for as fast a step: its convolutions are library calls.
    return {"xla_backend_optimization_level": 1}
