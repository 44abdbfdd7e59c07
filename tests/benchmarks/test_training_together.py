"""Four models in one process against four trainings one after the other.

Ratios of medians over interleaved rounds of one run: what else the machine does
disturbs both sides alike. Compilation is paid before; input is part of the trainings.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training.loop import train_together
from rdc.training.member import Training
from rdc.training.stacking import InTurn, Mapped, Program, form_of
from rdc.training.step import compiled_step, initial_state, step_function
from rdc.transforms.conv import ConvTransform

pytestmark = pytest.mark.benchmark

RATES = (0.004, 0.0125, 0.03, 0.08)
ROUNDS = 5
STEPS = 8
ARCHITECTURE = ArchitectureSpec(
    transform=ConvTransform(channels=(32, 32, 48), latent_channels=64),
    entropy_model=MeanScaleHyperprior(),
    hyper_transform=ConvHyperTransform(
        analysis_channels=(48, 48, 32), synthesis_channels=(48, 48)
    ),
)
RECIPE = Recipe(steps=STEPS, batch_size=4, crop_px=64, learning_rate=1e-3)


def interleaved(sides: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each side, after one call of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            if number > 0:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def test_trainings(tmp_path: Path) -> None:
    specs = [
        ModelSpec(
            architecture=ARCHITECTURE,
            recipe=RECIPE,
            rates=(lmbda,),
            data_sha256="bundled",
        )
        for lmbda in RATES
    ]
    calls = iter(range(1000))

    def run(trainings: list[Training]) -> None:
        never = CheckpointSpec(every_seconds=None)
        train_together(trainings, "bundled:train", checkpoint=never)

    def trainings() -> list[Training]:
        folder = tmp_path / str(next(calls))
        given = [Training(spec, folder / spec.run_id) for spec in specs]
        for training in given:
            training.folder.mkdir(parents=True)
        return given

    times = interleaved(
        {
            "separate": lambda: [run([training]) for training in trainings()],
            "together": lambda: run(trainings()),
        }
    )
    ratio = times["separate"] / times["together"]
    print(f"\nfour models together: {ratio:.2f} x the speed of four trainings {times}")
    assert ratio > 0.95


def test_forms() -> None:
    """Steps alone: the form that is chosen for this backend is not the slower one."""
    model = build(ARCHITECTURE, seed=0)
    batch = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    key = jax.random.key(0)

    def stepping(program: Program) -> Callable[[], None]:
        joined = program.join(
            [initial_state(build(ARCHITECTURE), RECIPE) for _ in RATES]
        )

        def run() -> None:
            nonlocal joined
            for _ in range(STEPS):
                joined, _ = program(joined, batch)
            jax.block_until_ready(joined)

        return run

    times = interleaved(
        {
            "in_turn": stepping(InTurn(compiled_step(model, RECIPE), RATES, key)),
            "mapped": stepping(
                Mapped(step_function(nnx.graphdef(model), RECIPE, 1), RATES, key)
            ),
        }
    )
    print(f"\nmapped: {times['in_turn'] / times['mapped']:.2f} x in turn {times}")
    chosen = form_of(len(RATES))
    assert all(times[chosen] < 1.05 * other for other in times.values())
