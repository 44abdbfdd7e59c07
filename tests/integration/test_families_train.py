"""Every family of the study learns from real photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdc.jobs.job import Request, TrainJob
from rdc.specs.training import CheckpointSpec, TrainSpec
from rdc.training.loop import train
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
def test_loss_falls_within_120_steps(
    family: str, shared_data: Path, tmp_path: Path
) -> None:
    spec = ALL[FAMILIES[family]]
    assert spec.family == family
    job = TrainJob(
        architecture=spec,
        train=TrainSpec(
            steps=120, batch_size=2, crop_px=64, learning_rate=1e-3, warmup_steps=10
        ),
        data_sha256="photographs of train_small.txt",
    )
    request = Request(
        images=str(shared_data / "train_small.txt"),
        checkpoint=CheckpointSpec(every_seconds=None),
    )
    result = train(job, request, tmp_path).result
    assert result["steps"] == 120
    assert result["skipped_steps"] == 0
    assert result["loss_last"] < 0.5 * result["loss_first"]
