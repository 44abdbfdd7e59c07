"""When a sweep will end: speeds, slots, and how far earlier estimates were off."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from rdc.jobs.records import Record
from sweeps.capacity import Resources
from sweeps.forecast import AtWork, Forecast, Part, Rest, part_of
from sweeps.outputs import Outputs
from sweeps.tasks import Task
from tests.simulated_sweeps import Simulation, tasks_of

ONE_OF_TWO = {Resources(): 0.5}  # shares, with two slots


@pytest.fixture(scope="module")
def jobs() -> list[Task]:
    """Four trainings, of 1, 2, 4 and 8 FLOPs, then their evaluations."""
    tasks = tasks_of(4, ("train", "evaluate"))
    trainings = [task for task in tasks if task.parent is None]
    measured = [task for task in tasks if task.parent is not None]
    counted = [replace(t, flops=2.0**n) for n, t in enumerate(trainings)]
    return counted + measured


def forecast(jobs: list[Task], *ended: Part) -> Forecast:
    made = Forecast({task.job_id: task for task in jobs})
    for part in ended:
        made.learn(part)
    return made


def test_nothing_is_told_before_anything_is_known(jobs) -> None:
    assert forecast(jobs).eta(Rest([], jobs, ONE_OF_TWO)) is None


def test_work_is_in_flops_and_slots_work_side_by_side(jobs) -> None:
    first, second, third, fourth, *_ = jobs
    told = forecast(jobs, Part(first.job_id, 10.0)).eta(
        Rest([], [second, third, fourth], ONE_OF_TWO)
    )
    assert told is not None
    assert told.device_seconds == pytest.approx(20 + 40 + 80)
    # The order of the plan: 20 and 40 s begin, 80 s after the first of them.
    assert told.seconds == pytest.approx(100)
    assert (told.error, told.low_seconds) == (None, None)


def test_a_process_at_work_tells_by_its_own_speed_and_before_any_other(jobs) -> None:
    first, second, *_ = jobs
    working = AtWork(Part(first.job_id, 100.0, share=0.25), left=0.5)
    told = forecast(jobs).eta(Rest([working], [second], ONE_OF_TWO))
    assert told is not None
    # A quarter took 100 s: half is left of it, and the other is twice as much.
    assert told.device_seconds == pytest.approx(200 + 800)
    assert told.seconds == pytest.approx(800)


def test_children_wait_and_stages_without_an_end_are_named(jobs) -> None:
    first, second, *_ = jobs
    child = next(task for task in jobs if task.parent == second.job_id)
    rest = Rest([], [second, child], ONE_OF_TWO)
    told = forecast(jobs, Part(first.job_id, 10.0)).eta(rest)
    assert told is not None
    assert (told.seconds, told.unknown) == (pytest.approx(20), ("evaluate",))
    other = next(task for task in jobs if task.parent == first.job_id)
    known = forecast(jobs, Part(first.job_id, 10.0), Part(other.job_id, 5.0)).eta(rest)
    assert known is not None
    assert (known.seconds, known.unknown) == (pytest.approx(25), ())


def test_the_error_is_of_what_was_foreseen_and_then_happened(jobs) -> None:
    first, second, third, *_ = jobs
    ended = [Part(first.job_id, 10.0), Part(second.job_id, 25.0)]
    made = forecast(jobs, *ended)  # 20 s were foreseen of the second
    assert made.error() == pytest.approx(0.2)
    told = made.eta(Rest([], [third], ONE_OF_TWO))
    assert told is not None
    assert told.low_seconds == pytest.approx(told.seconds / 1.2)
    assert told.high_seconds == pytest.approx(told.seconds * 1.2)


def test_a_record_tells_what_its_last_attempt_did() -> None:
    summary = {"steps": 40, "models_together": 2}
    result = {"summary": summary, "resumed_from_step": 10}
    record = Record(
        stage="train", job_id="a", status="ok", attempt=2, seconds=60.0, result=result
    )
    assert part_of(record) == Part("a", 30.0, 0.75)
    assert part_of(replace(record, seconds=None)) is None


def test_at_half_of_a_sweep_the_time_left_is_known(tmp_path: Path) -> None:
    """Families of other speeds, small models slow for their FLOPs, and chance."""
    chance = random.Random(1)
    tasks, seconds = [], {}
    for number, task in enumerate(tasks_of(60, ("train", "evaluate"))):
        family = "slow" if number % 3 else "fast"
        flops = math.exp(chance.uniform(0.0, 3.0)) * 1e6
        own = {"slow": 3.0, "fast": 1.0}[family] * math.exp(chance.gauss(0.0, 0.1))
        took = own * (flops**0.8 if task.parent is None else 2e4)
        seconds[task.job_id] = took
        counted = flops if task.parent is None else None
        tasks.append(replace(task, family=family, flops=counted))
    simulation = Simulation(Outputs(tmp_path), tasks)
    simulation.run(seconds, look_every=10)
    half = simulation.seconds / 2
    at, status = min(simulation.seen, key=lambda one: abs(one[0] - half))
    assert status.eta is not None
    assert status.eta.seconds == pytest.approx(simulation.seconds - at, rel=0.1)
    assert status.eta.error is not None
    assert 0 < status.eta.error < 0.5
