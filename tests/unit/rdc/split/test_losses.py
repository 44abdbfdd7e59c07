"""Training of a small student in its two stages."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.errors import ConfigError, DivergedError
from rdc.layers import ParameterFactory
from rdc.split.losses import (
    Server,
    stage_one_loss,
    stage_two_loss,
)
from rdc.split.student import Student
from rdc.split.student_networks import StudentSpec
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import FitRecipe, fit
from tests.unit.rdc.split.teacher import CHANNELS, SmallTeacher

SPEC = StudentSpec(
    encoder_channels=(6, 5),
    latent_channels=4,
    decoder_channels=(7, 6),
    feature_channels=CHANNELS,
)
TEACHER = SmallTeacher()


def images(number: int) -> jax.Array:
    random = np.random.default_rng(number)
    return jnp.asarray(random.uniform(0, 1, (2, 24, 24, 3)), jnp.float32)


def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, [], "run")


def student() -> Student:
    return Student(SPEC, ParameterFactory(1))


class Number(nnx.Module):
    """The smallest module that can be trained."""

    def __init__(self) -> None:
        self.value = nnx.Param(jnp.float32(0))


def distance(number: Number, batch: float, key: jax.Array) -> jax.Array:
    """From the batch and some noise."""
    return jnp.square(number.value[...] - batch - jax.random.normal(key))


def test_a_training_goes_on_where_it_was(tmp_path: Path) -> None:
    """Same batches, same noise, same moments of Adam, and no step twice."""
    asked: list[int] = []

    def batch_of(step: int) -> float:
        asked.append(step)
        return float(step)

    def fitted(steps: int, folder: str) -> float:
        recipe = FitRecipe(
            steps=steps, learning_rate=0.1, tenths_at=(), checkpoint_steps=2
        )
        saved = checkpoints(tmp_path / folder)
        return float(fit(Number(), distance, batch_of, recipe, saved).value[...])

    whole = fitted(4, "whole")
    assert fitted(2, "parts") != whole
    assert fitted(4, "parts") == whole
    assert asked == [0, 1, 2, 3, 0, 1, 2, 3]


def test_recipes_are_those_of_pytorch() -> None:
    """Weight decay joins the gradient; momentum .9; a cosine ends at nothing."""
    sgd = FitRecipe(
        steps=10, learning_rate=0.1, tenths_at=(), optimizer="sgd", weight_decay=0.5
    )
    weight, momentum = 2.0, 0.0
    params, rule = jnp.float32(weight), sgd.transformation()
    state = rule.init(params)
    for gradient in (1.0, -3.0, 0.5):
        update, state = rule.update(jnp.float32(gradient), state, params)
        params += update
        momentum = 0.9 * momentum + gradient + 0.5 * weight
        weight -= 0.1 * momentum
        assert params == pytest.approx(weight)
    cosine = FitRecipe(steps=4, learning_rate=0.1, decay="cosine").transformation()
    state, changes = cosine.init(params), []
    for _ in range(5):
        update, state = cosine.update(jnp.float32(1), state, params)
        changes.append(float(-update))
    assert changes == pytest.approx(
        [0.05 * (1 + math.cos(math.pi * i / 4)) for i in range(5)], abs=1e-6
    )


def test_stage_one_learns_features_and_bits(tmp_path: Path) -> None:
    loss = stage_one_loss(TEACHER, beta=0.01)
    recipe = FitRecipe(steps=12, learning_rate=0.01, tenths_at=())
    trained = fit(student(), loss, images, recipe, checkpoints(tmp_path))
    x, key, value = images(99), jax.random.key(9), nnx.jit(loss)
    assert value(trained, x, key) < 0.9 * value(student(), x, key)


def test_stage_two_trains_the_server_alone(tmp_path: Path) -> None:
    first, labels = student(), jnp.asarray([0, 2])
    server = Server(first.decoder, TEACHER)
    loss = stage_two_loss(first, TEACHER)
    image = np.random.default_rng(3).integers(0, 256, (24, 24, 3), np.uint8)
    before = first.method(TEACHER, "").encode(image)
    recipe = FitRecipe(steps=8, learning_rate=0.01, checkpoint_steps=8)
    trained = fit(
        server, loss, lambda i: (images(i), labels), recipe, checkpoints(tmp_path)
    )
    batch, key, value = (images(0), labels), jax.random.key(0), nnx.jit(loss)
    assert value(trained, batch, key) < value(server, batch, key)
    first.decoder = trained.decoder
    assert first.method(trained.tail.teacher, "").encode(image) == before


def test_what_diverges_is_said(tmp_path: Path) -> None:
    recipe = FitRecipe(steps=1)
    with pytest.raises(DivergedError, match="the loss is finite; got nan at step 1"):
        fit(Number(), distance, lambda _: float("nan"), recipe, checkpoints(tmp_path))
    with pytest.raises(ConfigError, match="steps is positive"):
        FitRecipe(steps=0)
