"""Training of split methods: one loop, and the losses of the student's two stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rdc.errors import DivergedError
from rdc.ops.quantization import rounding_noise
from rdc.specs.base import Spec, require
from rdc.split.base import STAGES, Tail
from rdc.split.student import STAGE, Student
from rdc.training.checkpoints import Checkpoints
from rdc.training.step import TrainState

Trained = TypeVar("Trained", bound=nnx.Module)
Batch = Any  # pytree of arrays
Loss = Callable[[Any, Batch, jax.Array], jax.Array]  # (trained, batch, key) -> f32[]


@dataclass(frozen=True, kw_only=True)
class FitRecipe(Spec):
    """How a part of a split method is trained; Adam.

    Attributes:
      tenths_at: shares of the steps at which the learning rate falls to a tenth.
      checkpoint_steps: between checkpoints.
    """

    steps: int
    learning_rate: float = 1e-3
    tenths_at: tuple[float, ...] = (0.5, 0.8)
    seed: int = 0
    checkpoint_steps: int = 1000

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

    def optimizer(self) -> optax.GradientTransformation:
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
            return loss(nnx.merge(graph, params, *rest), batch, noise)

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
    return nnx.merge(graph, state.params, *rest)


def stage_one_loss(teacher: Any, beta: float) -> Loss:
    """Sum over the batch of squared errors of stages 1 to 4 + beta * bits.

    Matsubara et al. 2023, head distillation as their code has it (the text speaks of
    the first block alone). Of a `Student`, on f32[B,H,W,3] in [0, 1]; no labels.
    """

    def loss(student: Student, x: jax.Array, key: jax.Array) -> jax.Array:
        y = student.encoder(x)
        y_tilde = y + rounding_noise(key, y.shape)
        found, wanted = student.decoder(y_tilde), teacher.stage(STAGE, teacher.stem(x))
        total = beta * jnp.sum(student.prior.bits(y_tilde))
        total += jnp.sum(jnp.square(found - wanted))
        for i in range(STAGE + 1, STAGES + 1):
            found, wanted = teacher.stage(i, found), teacher.stage(i, wanted)
            total += jnp.sum(jnp.square(found - wanted))
        return total

    return loss


class Server(nnx.Module):
    """What stage two trains: the student's decoder and the tail behind it."""

    def __init__(self, decoder: nnx.Module, teacher: Any):
        self.decoder, self.tail = decoder, Tail(teacher, STAGE + 1)

    def __call__(self, y_hat: jax.Array) -> jax.Array:
        return self.tail(self.decoder(y_hat))


def stage_two_loss(student: Student, teacher: Any) -> Loss:
    """Half cross-entropy, half divergence from the teacher, means over the batch.

    Of a `Server`, on (f32[B,H,W,3] in [0, 1], labels i32[B]). Latents are truly
    rounded; encoder and prior are `student`'s and stay.
    """

    def loss(server: Server, batch: Batch, _key: jax.Array) -> jax.Array:
        x, labels = batch
        logits = server(jnp.round(student.encoder(x)))
        wanted = jax.nn.log_softmax(Tail(teacher, 0)(x))
        found = jax.nn.log_softmax(logits)
        entropy = -jnp.take_along_axis(found, labels[:, None], 1).mean()
        divergence = jnp.sum(jnp.exp(wanted) * (wanted - found), 1).mean()
        return 0.5 * entropy + 0.5 * divergence

    return loss
