"""The training step as one program: what a device has to do for a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.architectures import build
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe
from rdc.training.step import StepFunction, initial_state, step_function


def training_program(
    spec: ArchitectureSpec, recipe: Recipe, num_rates: int = 1
) -> tuple[StepFunction, tuple[Any, ...]]:
    """(the step of `rdc.training`, shapes of its arguments).

    Nothing is computed: weights are shapes.

    Args:
      num_rates: that the model is trained for.
    """
    # Which they are changes no shape.
    rates = tuple(0.001 * 2.0**i for i in range(num_rates))
    model = build(spec, None, rates)
    batch = (recipe.batch_size, recipe.crop_px, recipe.crop_px, 3)
    shapes = (
        jax.eval_shape(lambda: initial_state(model, recipe)),
        jax.ShapeDtypeStruct(batch, jnp.uint8),
        jax.ShapeDtypeStruct((num_rates,), jnp.float32),
        jax.eval_shape(lambda: jax.random.key(0)),
    )
    return step_function(nnx.graphdef(model), recipe, recipe.accumulate), shapes
