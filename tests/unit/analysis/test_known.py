"""What proposals learn from: points that compare with what the plan would train."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.gather import gather
from analysis.known import Known, known_of
from analysis.proposals_page import write_page
from rdc.errors import DataError
from rdc.jobs.job import TrainJob
from rdc.specs.coding import CodecSettings
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures

CODEC = CodecSettings().to_dict()


def known(*outs: SweepOutput, cost: str = "kflops_per_px") -> Known:
    first, *others = (gather(sweep.out) for sweep in outs)
    return known_of(first, others, dataset="val", codec=CODEC, cost=cost)


def measured(sweep: SweepOutput, jobs: list[TrainJob]) -> None:
    for job in jobs:
        sweep.train(job)
        sweep.evaluate(job)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Known, list[TrainJob]]:
    """16 architectures: 10 measured, one diverged, one trained alone, four to do."""
    sweep = SweepOutput(tmp_path_factory.mktemp("study") / "out")
    jobs = sweep.plan(architectures((32, 64, 128, 192)))
    measured(sweep, jobs[:10])
    sweep.train(jobs[10], "diverged", "the loss is not finite at step 321")
    sweep.train(jobs[11])
    for job in jobs[:8]:
        sweep.benchmark(job)
    return known(sweep, cost="decode_ms"), jobs


def test_what_was_tried_is_not_proposed(study: tuple[Known, list[TrainJob]]) -> None:
    found, jobs = study
    assert set(found.untrained) == {job.arch_id for job in jobs[12:]}
    assert set(found.points["arch_id"]) == {job.arch_id for job in jobs[:10]}
    assert found.left_out == 0


def test_decode_times_are_measured_or_else_predicted(
    study: tuple[Known, list[TrainJob]],
) -> None:
    found, jobs = study
    table = found.architectures.set_index("arch_id")
    timed = table.loc[[job.arch_id for job in jobs[:8]]]
    others = table.loc[[job.arch_id for job in jobs[8:]]]
    assert (timed["decode_ms_low"] == timed["decode_ms_high"]).all()
    assert (others["decode_ms_low"] < others["decode_ms"]).all()
    assert (others["decode_ms"] < others["decode_ms_high"]).all()
    assert found.latency is not None


def test_other_sweeps_count_as_far_as_they_compare(tmp_path: Path) -> None:
    own, alike, unlike = (SweepOutput(tmp_path / name) for name in "abc")
    measured(own, own.plan(architectures((32,)))[:1])
    twin = alike.plan(architectures((64,)), seed=1)  # seeds are the noise of all
    measured(alike, twin)
    measured(unlike, unlike.plan(architectures((96,)), steps=2000))
    found = known(own, alike, unlike)
    assert len(found.points) == 5
    assert found.left_out == 4
    assert {job.arch_id for job in twin} < set(found.points["arch_id"])
    assert len(found.untrained) == 3  # of the own plan
    assert len(found.architectures) == 8


def test_what_nothing_can_be_said_of_is_refused(tmp_path: Path) -> None:
    uncounted, mixed = (SweepOutput(tmp_path / name) for name in "ab")
    uncounted.plan(architectures((32,)), counted=False)
    with pytest.raises(DataError, match="Add complexity to stages"):
        known(uncounted)
    mixed.plan(architectures((32,)))
    with pytest.raises(DataError, match="needs decode times"):
        known(mixed, cost="decode_ms")
    mixed.plan(architectures((64,)), steps=2000)
    with pytest.raises(DataError, match="one recipe; got a plan that varies steps"):
        known(mixed)


def test_a_page_tells_what_half_of_a_sweep_would_have_found(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out")
    jobs = sweep.plan(architectures((32, 64, 128, 192)))
    measured(sweep, jobs)
    steps = range(20, 2001, 20)
    curve = {
        "run_id": jobs[0].job_id,
        "step": steps,
        "loss": [2 + s**-0.5 for s in steps],
    }
    pd.DataFrame(curve).to_csv(sweep.out / "learning.csv", index=False)
    text = write_page(sweep.out, tmp_path / "page.md", seeds=3).read_text()
    assert "16 models of 16 architectures on val, 1 rates each" in text
    assert "| random order |" in text
    assert "proposals, one after the other, are **" in text
    assert "determined for 1 of 1 trainings" in text
    assert "No decoder was timed in this folder" in text
    assert "got 4 at 4" in text  # too few of each family for a law over cost
