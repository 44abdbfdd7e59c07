"""The grid of the reference models is the comparison that it claims to be."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from launch.commands.sweep import SWEEP_APP, prepare
from launch.config.app import run_app
from sweeps.plan import Run


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    plans = []
    app = dataclasses.replace(
        SWEEP_APP, function=lambda call: plans.append(prepare(call).plan) or 0
    )
    assert run_app(app, ["+grid=rdc_small", "train=light", "stages=[complexity]"]) == 0
    return list(plans[0].runs)


def test_every_family_has_a_point_near_10_and_one_near_45(runs: list[Run]) -> None:
    for cost in (10, 45):
        near = [r for r in runs if cost / 1.2 <= r.cost.kflops_per_px <= cost * 1.2]
        families = {run.model.architecture.family for run in near}
        assert len(families) == 7, cost
    assert all(1 <= run.cost.kflops_per_px <= 60 for run in runs)


def test_seeds_show_the_noise_of_three_transforms(runs: list[Run]) -> None:
    seeds = Counter(run.arch_id for run in runs)
    assert len(seeds) >= 16
    twice = {run.arch_id: run for run in runs if seeds[run.arch_id] == 2}
    assert len(twice) >= 4
    transforms = {r.model.architecture.transform.name for r in twice.values()}
    assert transforms == {"conv", "elic", "swint"}
    assert len(twice) + len(seeds) == len(runs)


def test_every_model_has_the_same_six_rates(runs: list[Run]) -> None:
    (rates,) = {run.model.rates for run in runs}
    assert len(rates) == 6
    assert 0.0125 in rates
