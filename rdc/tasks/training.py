"""Task networks trained from scratch, whatever their task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.identity import content_id
from rdc.specs.base import Spec, require
from rdc.tasks.networks import TaskNetwork
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, FitRecipe, Loss, fit

_STATISTICS_BATCHES = 16

Trained = TypeVar("Trained", bound=TaskNetwork)


@dataclass(frozen=True, kw_only=True)
class TaskRecipe(Spec):
    """How a task network is trained from scratch."""

    fit: FitRecipe
    batch: int

    def __post_init__(self) -> None:
        require(self.batch >= 2, "batch is two or more", self.batch)


class Photographs(Protocol):
    """What networks learn from, with whatever is known of each."""

    @property
    def data_sha256(self) -> str: ...


def train_network(
    network: Trained,
    loss: Loss,
    batch_of: Callable[[np.ndarray, np.random.Generator], Batch],
    photographs: Photographs,
    rows: np.ndarray,
    recipe: TaskRecipe,
    checkpoints: Path,
) -> Trained:
    """The trained network, ready to evaluate; goes on from its newest checkpoint.

    Its statistics are those of the trained weights, over some batches of its last
    steps, as Wu & Johnson 2021 ("Rethinking Batch in BatchNorm") have it: the loop
    then carries parameters alone.

    Args:
      batch_of: a batch of these rows; its photographs, f32[B,H,W,3], come first.
      rows: of the photographs that it learns.

    Raises:
      DivergedError: see `rdc.training.fit.fit`.
    """
    run = {
        "data": photographs.data_sha256,
        "rows": rows.tolist(),
        "network": network.spec.identity(),
        "recipe": recipe.identity(),
    }

    def batch_at(step: int) -> Batch:
        random = np.random.default_rng([recipe.fit.seed, step])
        return batch_of(random.choice(rows, recipe.batch), random)

    network.train()
    saved = Checkpoints(checkpoints, [], content_id("teacher_run", run))
    network = fit(network, loss, batch_at, recipe.fit, saved)
    last = range(recipe.fit.steps)[-_STATISTICS_BATCHES:]
    return _settled(network, [batch_at(step)[0] for step in last])


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
