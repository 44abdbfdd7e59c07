"""Throughputs from compiled steps, and how well they predict."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.compiled_throughput import (
    by_family,
    compiled_steps,
    left_out,
    of_all,
    told,
)
from analysis.gather import gather
from launch.config.settings import Throughput
from rdc.errors import DataError
from sweeps.plan import Run
from sweeps.plan_file import read_plan
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.estimated import V4, V5E, estimate_decoder, estimate_step
from tests.unit.analysis.invented import architectures


@pytest.fixture
def sweep(tmp_path: Path) -> SweepOutput:
    """Two families on a v4: one of two steps, one of a step; one more does not fit."""
    output = SweepOutput(tmp_path / "out")
    small, large = (architectures((width,)) for width in (32, 64))
    jobs = output.plan([small[0], large[0], small[1], large[2]])
    for job, cycles in zip(jobs, (10_500_000, 42_000_000, 21_000_000), strict=False):
        estimate_step(output, job, cycles)
    estimate_step(output, jobs[3], None)
    return output


def test_flops_are_those_of_plans_and_speeds_price_the_same_hours(
    sweep: SweepOutput,
) -> None:
    steps = compiled_steps(gather(sweep.out))
    assert sorted(steps["step_ms"]) == pytest.approx([10.0, 20.0, 40.0])
    runs = {run.arch_id: run for run in map(Run.of_row, read_plan(sweep.out))}
    for step in steps.itertuples():
        run = runs[step.arch_id]
        assert step.gflops * 1e9 * run.model.recipe.steps == pytest.approx(
            run.training_flops()
        )
    families = by_family(steps)
    (pair,) = [f for f in families.index if (steps["family"] == f).sum() == 2]
    own = steps[steps["family"] == pair]
    throughput = Throughput(
        name="TPU v4",
        training_gflops_per_second=of_all(steps),
        source="test",
        by_family=families.to_dict(),
        unit="chip",
        devices_per_unit=2,
    )
    # 50 ms of one core are 25 ms of a chip of two.
    hours = throughput.hours(own["gflops"].sum() * 1e9, pair)
    assert hours * 3600e3 == pytest.approx(25.0)


def test_a_step_is_predicted_from_others(sweep: SweepOutput) -> None:
    steps = compiled_steps(gather(sweep.out))
    found = left_out(steps)
    assert sorted(found["same_family"]) == [False, True, True]
    one, two = found[found["same_family"]].to_dict("records")
    expected = two["step_ms"] * one["gflops"] / two["gflops"]
    assert one["predicted_ms"] == pytest.approx(expected)
    error = 100 * (expected / one["step_ms"] - 1)
    assert one["error_percent"] == pytest.approx(error)
    text = told(steps)
    assert text.startswith("# TPU v4\ntraining_gflops_per_second: ")
    assert "other families" in text


def test_a_single_step_predicts_nothing(tmp_path: Path) -> None:
    output = SweepOutput(tmp_path / "out")
    (job,) = output.plan(architectures((32,))[:1])
    estimate_step(output, job, 10**7, V5E)
    steps = compiled_steps(gather(output.out))
    assert left_out(steps).empty
    assert "by_family:" in told(steps)


def test_without_steps_there_is_no_throughput(tmp_path: Path) -> None:
    output = SweepOutput(tmp_path / "out")
    (job,) = output.plan(architectures((32,))[:1])
    estimate_decoder(output, job, {"synthesis_transform": 10**6}, V4)
    with pytest.raises(DataError, match="compiled_steps"):
        compiled_steps(gather(output.out))
