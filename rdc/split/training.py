"""Losses of the student's two stages of training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.ops.quantization import rounding_noise
from rdc.split.base import STAGES, Tail
from rdc.split.student import STAGE, Student
from rdc.training.fit import Batch, Loss


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
