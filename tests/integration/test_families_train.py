"""Every family of the study learns from real photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.recipe import Recipe
from rdc.training import train
from tests.architectures import ALL

FAMILIES = {
    "conv/hyperprior:conv": "conv-mean_scale_hyperprior-conv",
    "conv/charm:conv": "conv-charm-conv",
    "elic/hyperprior:conv": "elic-mean_scale_hyperprior-conv",
    "elic/charm:conv": "elic-charm-conv",
    "swint/hyperprior:conv": "swint-mean_scale_hyperprior-conv",
    "swint/charm:conv": "swint-charm-conv",
    "elic/charm:swin": "elic-charm-swint",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_falls_within_120_steps(family: str, tmp_path: Path) -> None:
    spec = ALL[FAMILIES[family]]
    assert spec.family == family
    recipe = Recipe(
        steps=120, batch_size=2, crop_px=64, learning_rate=1e-3, warmup_steps=10
    )
    trained = train(
        spec,
        recipe,
        (0.0125,),
        "bundled:train",
        tmp_path,
        checkpoint=CheckpointSpec(every_seconds=None),
    )
    summary = trained.summary
    assert summary.steps == 120
    assert summary.skipped_steps == 0
    assert summary.loss_last < 0.5 * summary.loss_first
