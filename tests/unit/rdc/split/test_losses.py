"""Training of a small student in its two stages."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.errors import ConfigError, DivergedError
from rdc.layers import ParameterFactory
from rdc.specs.tasks import FitRecipe, OptimizerSpec
from rdc.split.losses import (
    Server,
    stage_one_loss,
    stage_two_loss,
)
from rdc.split.network_specs import StudentSpec
from rdc.split.student import Student
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import fit, optimizer_of
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
        constant = OptimizerSpec(learning_rate=0.1, tenths_at=())
        recipe = FitRecipe(steps=steps, optimizer=constant, checkpoint_steps=2)
        saved = checkpoints(tmp_path / folder)
        return float(fit(Number(), distance, batch_of, recipe, saved).value[...])

    whole = fitted(4, "whole")
    assert fitted(2, "parts") != whole
    assert fitted(4, "parts") == whole
    assert asked == [0, 1, 2, 3, 0, 1, 2, 3]


def test_stage_one_learns_features_and_bits(tmp_path: Path) -> None:
    loss = stage_one_loss(TEACHER, beta=0.01)
    recipe = FitRecipe(steps=12, optimizer=OptimizerSpec(learning_rate=0.01))
    trained = fit(student(), loss, images, recipe, checkpoints(tmp_path))
    x, key, value = images(99), jax.random.key(9), nnx.jit(loss)
    assert value(trained, x, key) < 0.9 * value(student(), x, key)


def test_stage_two_trains_the_server_alone(tmp_path: Path) -> None:
    first, labels = student(), jnp.asarray([0, 2])
    server = Server(first.decoder, TEACHER)
    loss = stage_two_loss(first, TEACHER)
    image = np.random.default_rng(3).integers(0, 256, (24, 24, 3), np.uint8)
    before = first.method(TEACHER, "").encode(image)
    recipe = FitRecipe(steps=8, optimizer=OptimizerSpec(learning_rate=0.01))
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


@pytest.mark.parametrize(
    ("spec", "step", "expected"),
    [
        (OptimizerSpec(tenths_at=(0.25, 0.5)), 4, 1e-4),
        (OptimizerSpec(decay="cosine"), 5, 0.5e-3),
        (OptimizerSpec(decay="poly"), 5, 1e-3 * 0.5**0.9),
        (OptimizerSpec(name="sgd", weight_decay=0.5, tenths_at=()), 0, 1.5e-3),
    ],
)
def test_steps_shrink_as_the_recipe_says(
    spec: OptimizerSpec, step: int, expected: float
) -> None:
    """The first update of Adam is its learning rate, whatever the gradient."""
    optimizer = optimizer_of(FitRecipe(steps=10, optimizer=spec))
    one = jnp.ones(())
    state = optimizer.init(one)
    for _ in range(step + 1):
        update, state = optimizer.update(one, state, one)
    assert float(-update) == pytest.approx(expected, rel=1e-3)
