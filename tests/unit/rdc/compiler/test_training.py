"""The training step that compilers are given is the one that trains."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.compiler.training import training_program
from rdc.ops.backend import backend, traced_for
from rdc.specs.recipe import Recipe
from rdc.training.step import initial_state, step_function
from tests.architectures import small

SPEC = small("conv", "mean_scale_hyperprior", "conv")


@pytest.mark.parametrize("num_rates", [1, 2])
def test_it_is_the_step_that_trains(num_rates: int) -> None:
    recipe = Recipe(steps=10, batch_size=2, crop_px=64)
    lmbdas = np.asarray([0.001, 0.002][:num_rates], np.float32)
    model = build(SPEC, 0, tuple(lmbdas.tolist()))
    batch = np.zeros((2, 64, 64, 3), np.uint8)
    given = initial_state(model, recipe), batch, lmbdas, jax.random.key(0)
    program, shapes = training_program(SPEC, recipe, num_rates)
    trained = step_function(nnx.graphdef(model), recipe, recipe.accumulate)
    found, expected = (
        jax.make_jaxpr(step)(*arguments)
        for step, arguments in ((program, shapes), (trained, given))
    )
    # Addresses of functions stand in the text, which differ.
    texts = {re.sub("0x[0-9a-f]+", "", str(jaxpr)) for jaxpr in (found, expected)}
    assert len(texts) == 1
    assert len(found.eqns) > 100


def convolutions(name: str) -> int:
    recipe = Recipe(steps=10, batch_size=2, crop_px=256)
    program, shapes = training_program(SPEC, recipe)
    with traced_for(name):
        return str(jax.make_jaxpr(program)(*shapes)).count("conv_general_dilated[")


def test_a_compiler_is_given_the_form_of_its_device_not_of_this_one() -> None:
    """On a CPU, gradients of kernels are sums over images: so many more programs."""
    assert convolutions("tpu") == convolutions("gpu") < convolutions("cpu")


def test_tracing_for_a_backend_ends() -> None:
    with traced_for("tpu"):
        assert backend() == "tpu"
        with traced_for("gpu"):
            assert backend() == "gpu"
        assert backend() == "tpu"
    assert backend() == jax.default_backend()


def test_its_networks_hold_no_weights() -> None:
    _, shapes = training_program(SPEC, Recipe(batch_size=2, crop_px=64))
    assert all(
        isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes)
    )
