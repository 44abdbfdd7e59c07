"""What checkpoints cost a real training: rdc_g, saved as by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdc.architectures import resolve
from rdc.jobs.job import Request, TrainJob
from rdc.specs.training import TrainSpec
from rdc.training import loop
from rdc.training.checkpoints import STALL_SHARE

STEPS = 400  # minutes: some pauses of the default


@pytest.mark.benchmark
@pytest.mark.timeout(0)
def test_training_hardly_waits_for_checkpoints(
    shared_data: Path, tmp_path: Path
) -> None:
    job = TrainJob(
        architecture=resolve("rdc_g"),
        train=TrainSpec(steps=STEPS, batch_size=2, crop_px=128),
        data_sha256="photographs",
    )
    request = Request(images=str(shared_data / "train"))
    result = loop.train(job, request, tmp_path).result
    share = result["checkpoint_seconds"] / result["train_seconds"]
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoint").iterdir())
    size = sum(
        path.stat().st_size
        for path in (tmp_path / "checkpoint" / str(kept[-1])).rglob("*")
        if path.is_file()
    )
    print(
        f"\nrdc_g: {result['train_seconds']:.0f} s, {100 * share:.2f} % of it for "
        f"checkpoints of {size / 1e6:.0f} MB, of steps {kept} at the end"
    )
    assert share < STALL_SHARE
