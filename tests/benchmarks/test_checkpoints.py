"""What checkpoints cost a real training: rdc_g, saved as by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdc.specs.recipe import Recipe
from rdc.training import train
from rdc.training.checkpoints import STALL_SHARE

STEPS = 400  # minutes: some pauses of the default


@pytest.mark.benchmark
@pytest.mark.timeout(0)
def test_training_hardly_waits_for_checkpoints(
    shared_data: Path, tmp_path: Path
) -> None:
    recipe = Recipe(steps=STEPS, batch_size=2, crop_px=128)
    images = shared_data / "train"
    summary = train("rdc_g", recipe, (0.0125,), images, tmp_path).summary
    share = summary.checkpoint_seconds / summary.train_seconds
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoint").iterdir())
    size = sum(
        path.stat().st_size
        for path in (tmp_path / "checkpoint" / str(kept[-1])).rglob("*")
        if path.is_file()
    )
    print(
        f"\nrdc_g: {summary.train_seconds:.0f} s, {100 * share:.2f} % of it for "
        f"checkpoints of {size / 1e6:.0f} MB, of steps {kept} at the end"
    )
    assert share < STALL_SHARE
