"""Task networks trained from scratch, whatever their task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.identity import content_id
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, FitRecipe, Loss, fit

_STATISTICS_BATCHES = 16

Trained = TypeVar("Trained", bound=nnx.Module)


def train_network(
    network: Trained,
    loss: Loss,
    batch_of: Callable[[int], Batch],
    recipe: FitRecipe,
    checkpoints: Path,
    run: dict[str, Any],
) -> Trained:
    """The trained network, ready to evaluate; goes on from its newest checkpoint.

    Its statistics are those of the trained weights, over some batches of its last
    steps, as Wu & Johnson 2021 ("Rethinking Batch in BatchNorm") have it: the loop
    then carries parameters alone.

    Args:
      batch_of: see `rdc.training.fit.fit`; photographs f32[B,H,W,3] come first.
      run: all that the training hangs on, as plain data.
    """
    network.train()
    saved = Checkpoints(checkpoints, [], content_id("teacher_run", run))
    network = fit(network, loss, batch_of, recipe, saved)
    last = range(recipe.steps)[-_STATISTICS_BATCHES:]
    return _settled(network, [batch_of(step)[0] for step in last])


def _settled(network: Trained, batches: list[np.ndarray]) -> Trained:
    """With the mean of its batches' statistics."""
    graph, params, *statistics = nnx.split(network, nnx.Param, ...)

    @jax.jit
    def of(x: jax.Array) -> Any:
        seen = nnx.merge(graph, params, *statistics, copy=True)
        seen(x)
        return nnx.state(seen, nnx.BatchStat)

    found = [of(jnp.asarray(x)) for x in batches]
    mean = jax.tree.map(lambda *each: sum(each) / len(each), *found)
    settled = nnx.merge(graph, params, mean)
    settled.eval()
    return settled
