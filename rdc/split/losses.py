"""Losses of trained split methods, and the modules that they train."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers import Network
from rdc.split.base import STAGES, Front, Tail
from rdc.split.placement import Placement
from rdc.split.priors import noisy, rounded
from rdc.split.reduction import Reduction
from rdc.split.student import STAGE, Student
from rdc.tasks.networks import task_of
from rdc.training.fit import Batch, Loss


def stage_one_loss(teacher: Any, beta: float) -> Loss:
    """`stage_distance` of the decoder's features + beta * bits, sums over the batch.

    Of a `Student`, on f32[B,H,W,3] in [0, 1]; no labels.
    """

    def loss(student: Student, x: jax.Array, key: jax.Array) -> jax.Array:
        y_tilde, bits = noisy(student.prior, student.encoder(x), key)
        return beta * bits + stage_distance(teacher, student.decoder(y_tilde), x)

    return loss


def decoder_loss(student: Student, teacher: Any) -> Loss:
    """`stage_distance` of the decoder's features, sums over the batch.

    Of a decoder behind `student`'s encoder and prior, which stay; no labels. Latents
    are truly rounded.
    """

    def loss(decoder: Network, x: jax.Array, _key: jax.Array) -> jax.Array:
        y_hat = rounded(student.prior, student.encoder(x))
        return stage_distance(teacher, decoder(y_hat), x)

    return loss


def reduction_loss(teacher: Any) -> Loss:
    """Generalised head network distillation (GHND): `stage_distance`.

    Of a `Reduction`, on f32[B,H,W,3] in [0, 1]; no labels, and no quantisation.
    """

    def loss(reduction: Reduction, x: jax.Array, _key: jax.Array) -> jax.Array:
        features = reduction.decoder(reduction.encoder(x))
        return stage_distance(teacher, features, x)

    return loss


def stage_distance(teacher: Any, found: jax.Array, x: jax.Array) -> jax.Array:
    """Sum of squared errors of the teacher's stages 1 to 4, f32[].

    Matsubara et al. 2023, head distillation as their code has it (the text speaks of
    the first block alone for the student, of stages 2 to 4 for GHND).

    Args:
      found: in place of stage 1 of the photographs `x`.
    """
    wanted = teacher.stage(STAGE, teacher.stem(x))
    total = jnp.sum(jnp.square(found - wanted))
    for i in range(STAGE + 1, STAGES + 1):
        found, wanted = teacher.stage(i, found), teacher.stage(i, wanted)
        total += jnp.sum(jnp.square(found - wanted))
    return total


class Server(nnx.Module):
    """What stage two trains: the student's decoder and the tail behind it."""

    def __init__(self, decoder: Network, teacher: Any):
        self.decoder, self.tail = decoder, Tail(teacher, STAGE + 1)

    def __call__(self, y_hat: jax.Array) -> jax.Array:
        return self.tail(self.decoder(y_hat))


def stage_two_loss(student: Student, teacher: Any) -> Loss:
    """The task's `server_loss`.

    Of a `Server`, on a batch of the task. Latents are truly rounded; encoder and prior
    are `student`'s and stay.
    """
    task = task_of(teacher.spec)

    def loss(server: Server, batch: Batch, _key: jax.Array) -> jax.Array:
        x, *known = batch
        answer = server(rounded(student.prior, student.encoder(x)))
        return task.server_loss(answer, lambda: Tail(teacher, 0)(x), *known)

    return loss


class EndToEnd(nnx.Module):
    """Device, prior and server of a method, trained together.

    Args:
      teacher: whose stages are the tail, and before a `Placement` the encoder, too.
    """

    def __init__(self, networks: Student | Placement, teacher: Any):
        self.networks, self.teacher = networks, teacher

    def __call__(self, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(answers f32[B, ...], bits f32[] of the whole batch)."""
        networks = self.networks
        if isinstance(networks, Student):
            y_tilde, bits = noisy(networks.prior, networks.encoder(x), key)
            return Tail(self.teacher, STAGE + 1)(networks.decoder(y_tilde)), bits
        stage = networks.spec.stage
        y_tilde, bits = noisy(networks.prior, Front(self.teacher, stage)(x), key)
        return Tail(self.teacher, stage + 1)(y_tilde), bits


def end_to_end_loss(teacher: Any, beta: float) -> Loss:
    """The task's loss + beta * bits of a photograph, means over the batch.

    Of an `EndToEnd`, on a batch of the task.
    """
    task = task_of(teacher.spec)

    def loss(module: EndToEnd, batch: Batch, key: jax.Array) -> jax.Array:
        x, *known = batch
        answer, bits = module(x, key)
        return task.loss(answer, *known) + beta * bits / len(x)

    return loss
