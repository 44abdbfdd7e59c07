"""Task networks trained from scratch, whatever their task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from rdc.errors import ConfigError
from rdc.identity import content_id
from rdc.specs.tasks import TaskRecipe
from rdc.tasks.networks import TaskNetwork, task_of
from rdc.tasks.photographs import Photographs, decoded
from rdc.training.checkpoints import Checkpoints
from rdc.training.fit import Batch, Progress, fit
from rdc.training.statistics import settled

Trained = TypeVar("Trained", bound=TaskNetwork)


def train_network(
    network: Trained,
    photographs: Photographs,
    rows: np.ndarray,
    recipe: TaskRecipe,
    seed: int,
    checkpoints: Path,
    earlier: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Trained:
    """The trained network, ready to evaluate; goes on from its newest checkpoint.

    Args:
      rows: of the photographs that it learns.
      earlier: checkpoint folders to go on from, newest last.

    Raises:
      ConfigError: the photographs have other classes.
      DivergedError: see `rdc.training.fit.fit`.
    """
    found = len(photographs.classes)
    if network.spec.classes != found:
        raise ConfigError(
            f"the photographs have {found} classes, as the network",
            network.spec.classes,
        )
    task, seen = task_of(network.spec), decoded(photographs)
    run = {
        "data": photographs.data_sha256,
        "rows": rows.tolist(),
        "network": network.spec.identity(),
        "recipe": recipe.identity(),
        "seed": seed,
    }

    def batch_at(step: int) -> Batch:
        random = np.random.default_rng([seed, step])
        chosen = random.choice(rows, recipe.batch)
        return task.batch(seen, chosen, recipe, random)

    network.train()
    saved = Checkpoints(checkpoints, earlier, content_id("teacher_run", run))
    steps = recipe.fit(len(rows), seed)
    network = fit(network, task.network_loss, batch_at, steps, saved, progress)
    return settled(network, lambda network, x: network(x[0]), batch_at, steps.steps)
