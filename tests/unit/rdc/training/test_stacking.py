"""Several rates in one process: each as if it were alone."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.errors import ConfigError, DivergedError, PreemptedError
from rdc.jobs.job import Assignment, Request, TrainJob
from rdc.specs.training import CheckpointSpec, TrainSpec
from rdc.training import loop
from rdc.training.stacking import Mapped
from rdc.training.step import TrainState, initial_state, make_step
from tests.architectures import ALL

RATES = (0.005, 0.02)
JOBS = [
    TrainJob(
        architecture=ALL["conv-factorized-None"],
        train=TrainSpec(
            lmbda=rate,
            steps=60,
            batch_size=2,
            crop_px=32,
            learning_rate=1e-3,
            ema=0.9,
        ),
        data_sha256="bundled",
    )
    for rate in RATES
]
EVERY_WINDOW = Request(
    images="bundled:train", checkpoint=CheckpointSpec(every_seconds=0)
)


def weights(trained: loop.Trained) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(trained.model))]


def assert_equal(a: loop.Trained, b: loop.Trained) -> None:
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


def assignments(
    folder: Path, request: Request = EVERY_WINDOW, earlier: Path | None = None
) -> list[Assignment[TrainJob]]:
    given = []
    for job in JOBS:
        own = folder / job.job_id
        own.mkdir(parents=True)
        resume = () if earlier is None else (str(earlier / job.job_id),)
        given.append(Assignment(job, replace(request, resume_from=resume), own))
    return given


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[loop.Trained], Path]:
    folder = tmp_path_factory.mktemp("together")
    outcomes = loop.train_together(assignments(folder))
    assert all(isinstance(outcome, loop.Trained) for outcome in outcomes)
    return outcomes, folder


def test_each_rate_is_bit_equal_to_its_training_alone(
    together: tuple, tmp_path: Path
) -> None:
    outcomes, folder = together
    alone = loop.train(JOBS[1], EVERY_WINDOW, tmp_path)
    assert_equal(outcomes[1], alone)
    for name in ("loss_first", "loss_last", "steps", "arch_id"):
        assert outcomes[1].result[name] == alone.result[name]
    assert outcomes[1].result["rates_together"] == 2
    assert alone.result["rates_together"] == 1
    assert logged(folder / JOBS[1].job_id) == logged(tmp_path)
    assert any((a != b).any() for a, b in zip(*map(weights, outcomes), strict=True))


def logged(folder: Path) -> list[dict[str, float]]:
    """The lines of a training's metrics, without how fast it went."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    speed = {"steps_per_second", "input_share"}
    return [{k: v for k, v in row.items() if k not in speed} for row in rows]


def test_rates_resume_together_from_their_newest_common_step(
    together: tuple, tmp_path: Path
) -> None:
    """As if killed between the last checkpoints of the two; averages included."""
    outcomes, folder = together
    earlier = tmp_path / "1"
    shutil.copytree(folder, earlier)
    shutil.rmtree(earlier / JOBS[0].job_id / "checkpoint/60")
    again = loop.train_together(assignments(tmp_path / "2", earlier=earlier))
    for a, b in zip(outcomes, again, strict=True):
        assert b.result["resumed_from_step"] == 40
        assert_equal(a, b)


def test_a_rate_resumes_alone_from_a_checkpoint_of_several(
    together: tuple, tmp_path: Path
) -> None:
    outcomes, folder = together
    earlier = tmp_path / "1"
    shutil.copytree(folder / JOBS[0].job_id, earlier)
    shutil.rmtree(earlier / "checkpoint/60")
    (tmp_path / "2").mkdir()
    request = replace(EVERY_WINDOW, resume_from=(str(earlier),))
    alone = loop.train(JOBS[0], request, tmp_path / "2")
    assert alone.result["resumed_from_step"] == 40
    assert_equal(outcomes[0], alone)


def test_after_an_out_of_memory_a_run_resumes_in_micro_batches(
    together: tuple, tmp_path: Path
) -> None:
    """The batch stays whole, so the result is the same up to rounding."""
    outcomes, folder = together
    earlier = tmp_path / "1"
    shutil.copytree(folder / JOBS[0].job_id, earlier)
    shutil.rmtree(earlier / "checkpoint/60")
    (tmp_path / "2").mkdir()
    request = replace(EVERY_WINDOW, resume_from=(str(earlier),), accumulate=2)
    result = loop.train(JOBS[0], request, tmp_path / "2").result
    expected = outcomes[0].result
    assert (result["resumed_from_step"], result["accumulate"]) == (40, 2)
    assert (expected["accumulate"], expected["batch_size"]) == (1, 2)
    assert result["batch_size"] == 2
    assert result["loss_first"] == expected["loss_first"]
    assert result["loss_last"] == pytest.approx(expected["loss_last"], rel=1e-3)


def disturbed(
    monkeypatch: pytest.MonkeyPatch,
    disturb: Callable[[TrainSpec, TrainState], TrainState],
) -> None:
    real = loop.make_step

    def make(model: Any, spec: TrainSpec) -> Any:
        step = real(model, spec)
        return lambda state, batch: step(disturb(spec, state), batch)

    monkeypatch.setattr(loop, "make_step", make)


def test_a_rate_that_diverges_leaves_the_others_alone(
    together: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(spec: TrainSpec, state: TrainState) -> TrainState:
        if spec.lmbda != RATES[0] or int(state.step) < 20:
            return state
        return replace(state, params=jax.tree.map(lambda w: w * jnp.nan, state.params))

    disturbed(monkeypatch, poison)
    failed, trained = loop.train_together(assignments(tmp_path))
    assert isinstance(failed, DivergedError)
    assert_equal(trained, together[0][1])
    left = tmp_path / JOBS[0].job_id
    # Its last good checkpoint stays, for an attempt of its own.
    assert sorted(int(p.name) for p in (left / "checkpoint").iterdir()) == [20]


def test_sigterm_leaves_a_checkpoint_of_every_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(spec: TrainSpec, state: TrainState) -> TrainState:
        if spec.lmbda == RATES[1] and int(state.step) == 5:
            signal.raise_signal(signal.SIGTERM)
        return state

    disturbed(monkeypatch, stop)
    with pytest.raises(PreemptedError, match="step 20"):
        loop.train_together(
            assignments(
                tmp_path,
                replace(EVERY_WINDOW, checkpoint=CheckpointSpec(every_seconds=None)),
            )
        )
    for job in JOBS:
        assert (tmp_path / job.job_id / "checkpoint/20").is_dir()


def test_runs_that_differ_in_more_than_the_rate_are_refused(tmp_path: Path) -> None:
    given = assignments(tmp_path)
    other = replace(JOBS[1], train=replace(JOBS[1].train, seed=1))
    with pytest.raises(ConfigError, match=r"differ in train\.lmbda alone"):
        loop.train_together([given[0], replace(given[1], job=other)])


def test_the_mapped_form_computes_the_same() -> None:
    """Up to rounding; a rate that is not finite stays where it is, alone."""
    model = build(JOBS[0].architecture, seed=0)
    specs = [job.train for job in JOBS]
    batch = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    fresh = [initial_state(model, spec) for spec in specs]
    copies = jax.device_get(fresh)
    program = Mapped(model, specs)
    joined, metrics = program(program.join(fresh), batch)
    rows = program.by_rate(jax.device_get(metrics))
    for spec, copy, state, row in zip(
        specs, copies, program.split(joined), rows, strict=True
    ):
        alone, expected = make_step(model, spec)(jax.device_put(copy), batch)
        assert row["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
        moments = [s.optimizer[1][0].mu for s in (state, alone)]
        for a, b in zip(*map(jax.tree.leaves, moments), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))
        assert state.step == 1

    broken = jax.tree.map(lambda w: w.at[0].set(jnp.nan), joined.params)
    before = jax.device_get(broken)
    after, metrics = program(replace(joined, params=broken), batch)
    assert list(metrics["skipped"]) == [1.0, 0.0]
    for a, b in zip(*map(jax.tree.leaves, (after.params, before)), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        assert np.isfinite(a[1]).all()
