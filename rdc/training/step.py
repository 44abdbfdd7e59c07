"""One training step: loss, gradient, clipped Adam, and refusal of non-finite ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rdc.model import CompressionModel
from rdc.specs.training import TrainSpec

METRICS = ("loss", "bpp", "bpp_z", "mse_255", "gradient_norm", "skipped")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that training changes: what a checkpoint holds."""

    params: Any
    optimizer: Any
    step: jax.Array  # int32[], steps done, skipped ones included


def schedule(spec: TrainSpec) -> optax.Schedule:
    """Linear warm-up, the full rate, then cosine decay from `decay_start` on."""
    rate = spec.learning_rate
    warmup = optax.linear_schedule(0.0, rate, max(spec.warmup_steps, 1))
    if spec.decay == "constant":
        rest: optax.Schedule = optax.constant_schedule(rate)
        return optax.join_schedules([warmup, rest], [spec.warmup_steps])
    start = max(round(spec.decay_start * spec.steps), spec.warmup_steps)
    decay = optax.cosine_decay_schedule(
        rate, max(spec.steps - start, 1), spec.final_learning_rate_ratio
    )
    constant = optax.constant_schedule(rate)
    return optax.join_schedules([warmup, constant, decay], [spec.warmup_steps, start])


def optimizer(spec: TrainSpec) -> optax.GradientTransformation:
    """Adam behind clipping of the global gradient norm."""
    return optax.chain(
        optax.clip_by_global_norm(spec.clip_norm), optax.adam(schedule(spec))
    )


def rd_loss(
    model: CompressionModel, x: jax.Array, key: jax.Array, lmbda: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """bpp + lmbda * mse_255, with its parts.

    Args:
      x: f32[B,H,W,3] in [0,1].
    """
    output = model(x, key)
    pixels = x.shape[1] * x.shape[2]
    bpp_z = jnp.mean(output.bits_z) / pixels
    bpp = jnp.mean(output.bits_y) / pixels + bpp_z
    mse_255 = jnp.mean(jnp.square(output.x_hat.astype(jnp.float32) - x)) * 255.0**2
    loss = bpp + lmbda * mse_255
    return loss, {"loss": loss, "bpp": bpp, "bpp_z": bpp_z, "mse_255": mse_255}


def initial_state(model: CompressionModel, spec: TrainSpec) -> TrainState:
    params = nnx.state(model, nnx.Param)
    return TrainState(
        params=params,
        optimizer=optimizer(spec).init(params),
        step=jnp.zeros((), jnp.int32),
    )


def make_step(
    model: CompressionModel, spec: TrainSpec
) -> Callable[[TrainState, jax.Array], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted step (state, u8[B,H,W,3]) -> (state, metrics); `state` is donated.

    Its noise depends on the seed and the step number alone. A step whose loss or
    gradient is not finite changes no weight and reports `skipped` = 1.
    """
    graph = nnx.graphdef(model)
    transformation = optimizer(spec)

    def step(
        state: TrainState, batch: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(spec.seed), state.step)
        x = batch.astype(jnp.float32) / 255.0

        def loss(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
            return rd_loss(nnx.merge(graph, params), x, key, spec.lmbda)

        (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.params
        )
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        updates, new_optimizer = transformation.update(
            gradient, state.optimizer, state.params
        )
        new_params = optax.apply_updates(state.params, updates)

        def keep(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)

        new_state = TrainState(
            params=keep(new_params, state.params),
            optimizer=keep(new_optimizer, state.optimizer),
            step=state.step + 1,
        )
        skipped = 1.0 - finite.astype(jnp.float32)
        return new_state, {**metrics, "gradient_norm": norm, "skipped": skipped}

    return jax.jit(step, donate_argnums=0)
