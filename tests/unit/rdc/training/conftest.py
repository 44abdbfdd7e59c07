"""A small training, and one that nothing disturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.recipe import Recipe
from rdc.training import TrainedModel, train
from tests.architectures import ALL

ARCHITECTURE = ALL["conv-mean_scale_hyperprior-conv"]
RECIPE = Recipe(steps=60, batch_size=2, crop_px=64, learning_rate=1e-3, warmup_steps=5)
RATES = (0.0125,)
IMAGES = "bundled:train"
EVERY_WINDOW = CheckpointSpec(every_seconds=0)
NEVER = CheckpointSpec(every_seconds=None)


def trained(folder: Path, recipe: Recipe = RECIPE, **settings: Any) -> TrainedModel:
    settings = {"checkpoint": EVERY_WINDOW, **settings}
    return train(ARCHITECTURE, recipe, RATES, IMAGES, folder, **settings)


def weights(model: nnx.Module) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model))]


def saved_steps(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / "checkpoint").iterdir())


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return trained(folder), folder
