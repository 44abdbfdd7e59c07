"""What random weights come to: the losses that the start must beat in a fifth of steps.

One tiny architecture of each family of the study, on the bundled photographs. Random
weights are given the better of two learning rates, the start one of them.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe
from rdc.training import TrainedModel, train
from tests.architectures import ALL

LMBDA = 0.0125
RECIPE = Recipe(
    steps=200,
    batch_size=4,
    crop_px=64,
    learning_rate=1e-3,
    warmup_steps=20,
    decay_start=0.5,
    start="principal_components",
)
RANDOM_STEPS = 1000
RANDOM_LEARNING_RATES = (1e-3, 3e-3)
FAMILIES = {
    "conv/hyperprior:conv": "conv-mean_scale_hyperprior-conv",
    "conv/charm:conv": "conv-charm-conv",
    "elic/hyperprior:conv": "elic-mean_scale_hyperprior-conv",
    "elic/charm:conv": "elic-charm-conv",
    "swint/hyperprior:conv": "swint-mean_scale_hyperprior-conv",
    "swint/charm:conv": "swint-charm-conv",
    "elic/charm:swin": "elic-charm-swint",
}
LOSSES = Path(__file__).with_suffix(".json")


def architecture(family: str) -> ArchitectureSpec:
    """The tiny one of this family."""
    return ALL[FAMILIES[family]]


def trained(family: str, recipe: Recipe, folder: Path) -> TrainedModel:
    return train(
        architecture(family),
        recipe,
        (LMBDA,),
        "bundled:train",
        folder,
        checkpoint=CheckpointSpec(every_seconds=None),
    )


def random_losses() -> dict[str, float]:
    """By family: RD loss over the last 20 of RANDOM_STEPS steps, of the better rate."""
    losses = {}
    for family in FAMILIES:
        for rate in RANDOM_LEARNING_RATES:
            recipe = replace(
                RECIPE, steps=RANDOM_STEPS, learning_rate=rate, start="random"
            )
            with tempfile.TemporaryDirectory() as folder:
                loss = trained(family, recipe, Path(folder)).summary.loss_last
            assert loss is not None
            print(f"{family} {rate:g}: {loss:.3f}", flush=True)
            losses[family] = min(loss, losses.get(family, loss))
    return {family: round(loss, 3) for family, loss in losses.items()}


def main() -> None:
    """`python -m tests.golden.random_start` writes the file again: ten minutes."""
    LOSSES.write_text(json.dumps(random_losses(), indent=1) + "\n")


if __name__ == "__main__":
    main()
