"""The step: micro-batches, precision, rematerialisation, averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from rdc.architectures import build
from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.specs.recipe import Recipe
from rdc.training.networks import prepare
from rdc.training.step import (
    TrainState,
    compiled_step,
    initial_state,
    step_function,
    training_loss,
)
from tests.architectures import ALL, COVERING

RECIPE = Recipe(steps=60, batch_size=4, crop_px=64, learning_rate=1e-3)
SMALLEST = ALL["conv-factorized-None"]  # the shortest to compile
EVERY_NETWORK = ALL["conv-charm-conv"]


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """Four crops of a photograph, u8[4,64,64,3]."""
    image = read_image(list_images("bundled:train")[0])
    return np.stack([image[i : i + 64, i : i + 64] for i in (0, 30, 60, 90)])


def after(recipe: Recipe, batch: np.ndarray) -> tuple[TrainState, Any]:
    """One step."""
    model = build(SMALLEST, seed=0)
    state, step = initial_state(model, recipe), compiled_step(model, recipe)
    state, metrics = step(state, batch, 0.0125, jax.random.key(0))
    return state, jax.device_get(metrics)


def first_moments(state: TrainState) -> list[np.ndarray]:
    """A tenth of the clipped gradient, after one step."""
    return jax.tree.leaves(state.optimizer[1][0].mu)


def distance(a: Any, b: Any) -> float:
    """Of two trees, relative to the second."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def plain(batch: np.ndarray) -> tuple[TrainState, Any]:
    return after(RECIPE, batch)


@pytest.mark.parametrize("count", [2, 4])
def test_micro_batches_equal_the_whole_batch(
    count: int, plain: tuple, batch: np.ndarray
) -> None:
    """Up to rounding, noise included."""
    state, metrics = after(replace(RECIPE, accumulate=count), batch)
    for name, value in plain[1].items():
        assert metrics[name] == pytest.approx(value, rel=1e-5), name
    assert distance(first_moments(state), first_moments(plain[0])) < 1e-5


def test_weights_are_averaged_beside_the_training(
    plain: tuple, batch: np.ndarray
) -> None:
    recipe = replace(RECIPE, ema=0.5)
    start = jax.device_get(nnx.state(build(SMALLEST, seed=0), nnx.Param))
    state, _ = after(recipe, batch)
    for a, b in zip(
        *map(jax.tree.leaves, (state.params, plain[0].params)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    # Decay min(0.5, 1 / 10) in step 0.
    expected = jax.tree.map(lambda w, p: 0.1 * w + 0.9 * p, start, state.params)
    assert distance(state.average, expected) < 1e-6
    assert plain[0].average is None


def equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr),
        ):
            if isinstance(value, ClosedJaxpr):
                yield from equations(value.jaxpr)
            elif isinstance(value, Jaxpr):
                yield from equations(value)


def types(equation: JaxprEqn) -> set[str]:
    values = [*equation.invars, *equation.outvars]
    return {str(v.aval.dtype) for v in values if hasattr(v.aval, "dtype")}


def test_bfloat16_is_for_networks_alone(batch: np.ndarray) -> None:
    recipe = replace(RECIPE, precision="bfloat16", accumulate=2)
    model = build(EVERY_NETWORK, seed=0)
    state = initial_state(model, recipe)
    step = step_function(nnx.graphdef(model), recipe, recipe.accumulate)
    key = jax.random.key(0)
    trace = jax.make_jaxpr(step, return_shape=True)
    jaxpr, (new_state, metrics) = trace(state, batch, 0.01, key)
    for tree in (new_state.params, new_state.optimizer, metrics):
        kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}
        assert kinds <= {"float32", "int32"}  # Adam counts its steps
    found = list(equations(jaxpr.jaxpr))
    convolutions = [e for e in found if e.primitive.name == "conv_general_dilated"]
    low = [e for e in convolutions if types(e) == {"bfloat16"}]
    assert len(low) > len(convolutions) / 2
    assert all(types(e) in ({"bfloat16"}, {"float32"}) for e in convolutions)
    # Likelihoods: both densities and their logarithm.
    for name in ("erfc", "log", "random_bits"):
        chosen = [e for e in found if e.primitive.name == name]
        assert chosen, name
        assert not any("bfloat16" in types(e) for e in chosen), name
    # Gradients of the micro-batches are added in float32.
    (scan,) = (
        e
        for e in found
        if e.primitive.name == "scan" and e.params["length"] == 2 and len(e.outvars) > 9
    )
    assert not any("bfloat16" in str(v.aval.dtype) for v in scan.outvars)


@pytest.mark.parametrize("name", COVERING)
def test_every_component_has_both_forms(name: str) -> None:
    graph, weights = nnx.split(build(COVERING[name], seed=None))

    def forward(weights: Any, x: jax.Array) -> Any:
        model = nnx.merge(graph, weights)
        prepare(model, "bfloat16", remat=True)
        return model(x, jax.random.key(0))

    x = jax.ShapeDtypeStruct((2, 64, 64, 3), np.float32)
    output = jax.eval_shape(forward, weights, x)
    assert output.x_hat.shape == x.shape
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(output)} == {"float32"}


def gradient(batch: np.ndarray, precision: str, remat: bool) -> Any:
    model = build(ALL["conv-mean_scale_hyperprior-conv"], seed=0)
    graph, weights = nnx.split(model)

    def loss(weights: Any) -> tuple[jax.Array, Any]:
        model = nnx.merge(graph, weights)
        prepare(model, precision, remat)
        x = jnp.asarray(batch, jnp.float32) / 255
        return training_loss(model, x, jax.random.key(0), 0.0125)

    return jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(weights))


@pytest.fixture(scope="module")
def exact(batch: np.ndarray) -> Any:
    return gradient(batch, "float32", remat=False)


def test_bfloat16_stays_within_a_distance_of_float32(
    exact: Any, batch: np.ndarray
) -> None:
    """Loss within 0.5 %, rate within 0.1 %, gradient within 10 % of its norm."""
    low, metrics = gradient(batch, "bfloat16", remat=False)
    assert metrics["loss"] == pytest.approx(exact[1]["loss"], rel=5e-3)
    assert metrics["bpp"] == pytest.approx(exact[1]["bpp"], rel=1e-3)
    assert 0 < distance(low, exact[0]) < 0.1


def test_rematerialised_gradients_are_equal(exact: Any, batch: np.ndarray) -> None:
    again, metrics = gradient(batch, "float32", remat=True)
    assert metrics["loss"] == pytest.approx(exact[1]["loss"], rel=1e-6)
    assert distance(again, exact[0]) < 1e-6


def residual_bytes(remat: bool) -> int:
    """What the forward pass of the transforms keeps for the backward pass."""
    model = build(ALL["elic-factorized-None"], seed=0)
    prepare(model, "float32", remat)
    graph, weights = nnx.split(model)
    x = jnp.zeros((1, 128, 128, 3))

    def run(weights: Any) -> jax.Array:
        model = nnx.merge(graph, weights)
        return model.synthesis_transform(model.analysis_transform(x))

    _, pull_back = jax.eval_shape(lambda w: jax.vjp(run, w), weights)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pull_back))


def test_rematerialisation_keeps_less() -> None:
    assert residual_bytes(remat=True) < 0.5 * residual_bytes(remat=False)
