"""How well a sweep of `rdc_full` foresees its end, in simulated time."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import pytest

from launch.commands.costs import cost_counter
from launch.commands.sweep import SWEEP_APP
from launch.config.app import Call, run_app
from launch.config.roots import SweepConfig
from rdc.specs.timing import BenchmarkSpec
from sweeps.capacity import Resources
from sweeps.outputs import Outputs
from sweeps.plan import Plan, make_plan
from sweeps.task_settings import ImageSet, StageSettings, TaskSettings
from sweeps.tasks import Task, make_tasks
from tests.simulated_sweeps import Simulation

pytestmark = pytest.mark.benchmark

# A job's start, which no FLOPs tell of; how jobs of one kind differ, and families.
START_SECONDS, SPREAD, FAMILY_SPREAD = 120.0, 0.1, 0.5
# Of FLOPs, that seconds grow with: small networks fill no device.
POWER = 0.9
GFLOPS_PER_SECOND = 60_000.0  # of a training of 1e19 FLOPs
SECONDS = {"evaluate": 90.0, "benchmark": 60.0}


@pytest.fixture(scope="module")
def plan() -> Plan:
    """`rdc_full` with its costs, as the command plans it."""
    plans = []

    def planned(call: Call[SweepConfig]) -> int:
        config = call.config
        with cost_counter() as count:
            plans.append(
                make_plan(
                    config.chosen_grid(),
                    config.train,
                    "0" * 64,
                    options=call.options,
                    count_cost=count,
                )
            )
        return 0

    app = dataclasses.replace(SWEEP_APP, function=planned)
    assert run_app(app, ["+grid=rdc_full"]) == 0
    return plans[0]


def taking(tasks: list[Task], seed: int) -> dict[str, float]:
    """Seconds of each job: by FLOPs and family's speed, a start, and chance."""
    chance = random.Random(seed)
    families = sorted({task.family for task in tasks})
    slower = {f: math.exp(chance.gauss(0, FAMILY_SPREAD)) for f in families}
    seconds = {}
    for task in tasks:
        work = SECONDS.get(task.job.stage, 0.0)
        if task.flops is not None:
            work = 1e19 / (GFLOPS_PER_SECOND * 1e9) * (task.flops / 1e19) ** POWER
        own = math.exp(chance.gauss(0, SPREAD))
        seconds[task.job_id] = START_SECONDS + work * slower[task.family] * own
    return seconds


@pytest.mark.parametrize("seed", range(3))
def test_at_half_of_rdc_full(tmp_path: Path, plan: Plan, seed: int) -> None:
    images = ImageSet("images", "images", "00")
    alone = StageSettings(resources=Resources(cpus=None, exclusive=True))
    settings = TaskSettings(
        stages=("train", "evaluate", "benchmark"),
        train_set=images,
        eval_set=images,
        hardware_id="here",
        benchmark=BenchmarkSpec(),
        per_stage={"benchmark": alone},
    )
    tasks = make_tasks(plan, settings)
    simulation = Simulation(Outputs(tmp_path), tasks)
    simulation.run(taking(tasks, seed), look_every=10)
    print(f"\nseed {seed}, {simulation.seconds / 86400:.1f} days:")
    for share in (0.1, 0.25, 0.5, 0.75):
        at, status = min(
            simulation.seen, key=lambda one: abs(one[0] - share * simulation.seconds)
        )
        assert status.eta is not None
        off = (at + status.eta.seconds) / simulation.seconds - 1
        left = status.eta.seconds / (simulation.seconds - at) - 1
        told = status.eta.error or math.nan
        print(
            f"  at {at / simulation.seconds:.0%}: end {off:+.1%}, time left {left:+.1%}"
            f" (told: {told:.1%} off)"
        )
        if share == 0.5:
            assert abs(left) <= 0.1
