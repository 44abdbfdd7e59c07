"""Task networks trained from scratch, whatever their task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from rdc.identity import content_id
from rdc.specs.tasks import EpochsRecipe
from rdc.tasks.networks import TaskNetwork
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, Loss, Progress, fit
from rdc.training.statistics import settled

Trained = TypeVar("Trained", bound=TaskNetwork)


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
    recipe: EpochsRecipe,
    seed: int,
    checkpoints: Path,
    earlier: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Trained:
    """The trained network, ready to evaluate; goes on from its newest checkpoint.

    Args:
      batch_of: a batch of these rows; its photographs, f32[B,H,W,3], come first.
      rows: of the photographs that it learns.
      earlier: checkpoint folders to go on from, newest last.

    Raises:
      DivergedError: see `rdc.training.fit.fit`.
    """
    run = {
        "data": photographs.data_sha256,
        "rows": rows.tolist(),
        "network": network.spec.identity(),
        "recipe": recipe.identity(),
        "seed": seed,
    }

    def batch_at(step: int) -> Batch:
        random = np.random.default_rng([seed, step])
        return batch_of(random.choice(rows, recipe.batch), random)

    network.train()
    saved = Checkpoints(checkpoints, earlier, content_id("teacher_run", run))
    steps = recipe.fit(len(rows), seed)
    network = fit(network, loss, batch_at, steps, saved, progress)
    return settled(network, lambda network, x: network(x[0]), batch_at, steps.steps)
