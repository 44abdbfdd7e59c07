from __future__ import annotations

from pathlib import Path

import pytest

from analysis.gather import gather
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import HARDWARE, architectures


@pytest.fixture(scope="session")
def mixed_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gathered sweep with every kind of run: measured, failed, missing, damaged."""
    return write_mixed_sweep(tmp_path_factory.mktemp("mixed") / "out")


def write_mixed_sweep(out: Path) -> Path:
    sweep = SweepOutput(out, hardware_ids=tuple(HARDWARE))
    jobs = sweep.plan(architectures((32, 64, 128, 192)), names={3: "rdc_d"})
    sweep.finish(jobs[:12])
    sweep.train(jobs[12], "diverged", "the loss is not finite at step 321")
    sweep.train(jobs[13], "failed", "ValueError: <b>no</b> shape [ab12]", attempt=2)
    sweep.train(jobs[14]).write_text('{"cut": ')
    longer = sweep.plan(architectures((96,)), steps=2000)
    sweep.finish(longer[:1])
    sweep.train(longer[1])
    sweep.evaluate(longer[1], "failed", "LatentMismatchError: y_hat differs")
    sweep.benchmark(longer[1], trained=False)
    gather(out)
    return out
