"""Several models in one process: each as if it were alone."""

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
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training import TrainedModel, course
from rdc.training.loop import train_together
from rdc.training.member import Training
from rdc.training.stacking import Mapped, form_of
from rdc.training.step import TrainState, compiled_step, initial_state, step_function
from tests.architectures import ALL

RECIPE = Recipe(steps=60, batch_size=2, crop_px=32, learning_rate=1e-3, ema=0.9)
SPECS = [
    ModelSpec(
        architecture=ALL["conv-factorized-None"],
        recipe=RECIPE,
        rates=(lmbda,),
        data_sha256="bundled",
    )
    for lmbda in (0.005, 0.02)
]
LMBDAS = [lmbda for spec in SPECS for lmbda in spec.rates]
EVERY_WINDOW = CheckpointSpec(every_seconds=0)


def weights(trained: TrainedModel) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(trained.model))]


def assert_equal(a: TrainedModel, b: TrainedModel) -> None:
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


def run(trainings: list[Training], **settings: Any) -> list[Any]:
    settings = {"checkpoint": EVERY_WINDOW, **settings}
    return train_together(trainings, "bundled:train", **settings)


def trainings(folder: Path, earlier: Path | None = None) -> list[Training]:
    """Of all `SPECS`, a folder each."""
    given = []
    for spec in SPECS:
        own = folder / spec.run_id
        own.mkdir(parents=True)
        resume = () if earlier is None else (earlier / spec.run_id,)
        given.append(Training(spec, own, resume))
    return given


def alone(folder: Path, number: int, *resume: Path, **settings: Any) -> TrainedModel:
    folder.mkdir(exist_ok=True)
    (trained,) = run([Training(SPECS[number], folder, resume)], **settings)
    return trained


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[TrainedModel], Path]:
    folder = tmp_path_factory.mktemp("together")
    outcomes = run(trainings(folder))
    assert all(isinstance(outcome, TrainedModel) for outcome in outcomes)
    return outcomes, folder


@pytest.fixture
def cut(together: tuple, tmp_path: Path) -> Path:
    """The folder of the first model, as if killed before its last step."""
    earlier = tmp_path / "cut"
    shutil.copytree(together[1] / SPECS[0].run_id, earlier)
    shutil.rmtree(earlier / "checkpoint/60")
    return earlier


def test_each_model_is_bit_equal_to_its_training_alone(
    together: tuple, tmp_path: Path
) -> None:
    outcomes, folder = together
    other = alone(tmp_path, 1)
    assert_equal(outcomes[1], other)
    assert outcomes[1].spec == other.spec == SPECS[1]
    for name in ("loss_first", "loss_last", "steps"):
        assert getattr(outcomes[1].summary, name) == getattr(other.summary, name)
    assert outcomes[1].summary.models_together == 2
    assert other.summary.models_together == 1
    assert logged(folder / SPECS[1].run_id) == logged(tmp_path)
    assert any((a != b).any() for a, b in zip(*map(weights, outcomes), strict=True))


def logged(folder: Path) -> list[dict[str, float]]:
    """The lines of a training's metrics, without how fast it went."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    speed = {"steps_per_second", "input_share"}
    return [{k: v for k, v in row.items() if k not in speed} for row in rows]


def test_models_resume_together_from_their_newest_common_step(
    together: tuple, tmp_path: Path
) -> None:
    """As if killed between the last checkpoints of the two; averages included."""
    outcomes, folder = together
    earlier = tmp_path / "1"
    shutil.copytree(folder, earlier)
    shutil.rmtree(earlier / SPECS[0].run_id / "checkpoint/60")
    again = run(trainings(tmp_path / "2", earlier=earlier))
    for a, b in zip(outcomes, again, strict=True):
        assert b.resumed_from_step == 40
        assert_equal(a, b)


def test_a_model_resumes_alone_from_a_checkpoint_of_several(
    together: tuple, cut: Path, tmp_path: Path
) -> None:
    other = alone(tmp_path / "2", 0, cut)
    assert other.resumed_from_step == 40
    assert_equal(together[0][0], other)


def test_after_an_out_of_memory_a_training_resumes_in_micro_batches(
    together: tuple, cut: Path, tmp_path: Path
) -> None:
    """The batch stays whole, so the result is the same up to rounding."""
    resumed = alone(tmp_path / "2", 0, cut, accumulate=2)
    summary, expected = resumed.summary, together[0][0].summary
    assert (resumed.resumed_from_step, summary.accumulate) == (40, 2)
    assert (expected.accumulate, expected.batch_size) == (1, 2)
    assert summary.batch_size == 2
    assert summary.loss_first == expected.loss_first
    assert summary.loss_last == pytest.approx(expected.loss_last, rel=1e-3)


def disturbed(
    monkeypatch: pytest.MonkeyPatch, disturb: Callable[[float, TrainState], TrainState]
) -> None:
    """Every step gets the state that `disturb` makes of it, by lambda."""
    real = course.compiled_step

    def compiled(*arguments: Any) -> Any:
        step = real(*arguments)
        return lambda state, batch, lmbdas, key: step(
            disturb(round(float(lmbdas[0]), 6), state), batch, lmbdas, key
        )

    monkeypatch.setattr(course, "compiled_step", compiled)


def test_a_model_that_diverges_leaves_the_others_alone(
    together: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(lmbda: float, state: TrainState) -> TrainState:
        if lmbda != LMBDAS[0] or int(state.step) < 20:
            return state
        return replace(state, params=jax.tree.map(lambda w: w * jnp.nan, state.params))

    disturbed(monkeypatch, poison)
    failed, trained = run(trainings(tmp_path))
    assert isinstance(failed, DivergedError)
    assert_equal(trained, together[0][1])
    left = tmp_path / SPECS[0].run_id
    # Its last good checkpoint stays, for an attempt of its own.
    assert sorted(int(p.name) for p in (left / "checkpoint").iterdir()) == [20]


def test_sigterm_leaves_a_checkpoint_of_every_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(lmbda: float, state: TrainState) -> TrainState:
        if lmbda == LMBDAS[1] and int(state.step) == 5:
            signal.raise_signal(signal.SIGTERM)
        return state

    disturbed(monkeypatch, stop)
    with pytest.raises(PreemptedError, match="step 6"):
        run(trainings(tmp_path), checkpoint=CheckpointSpec(every_seconds=None))
    for spec in SPECS:
        assert (tmp_path / spec.run_id / "checkpoint/6").is_dir()


def test_models_that_differ_in_more_than_the_rate_are_refused(tmp_path: Path) -> None:
    given = trainings(tmp_path)
    other = replace(SPECS[1], recipe=replace(RECIPE, seed=1))
    with pytest.raises(ConfigError, match="differ in their rates alone"):
        run([given[0], replace(given[1], spec=other)])


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_models_take_turns_where_nothing_else_was_measured(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert form_of(4) == "in_turn"


def test_the_mapped_form_computes_the_same() -> None:
    """Up to rounding; a model that is not finite stays where it is, alone."""
    model = build(SPECS[0].architecture, seed=0)
    batch = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    fresh = [initial_state(model, RECIPE) for _ in SPECS]
    copies = jax.device_get(fresh)
    key = jax.random.key(0)
    program = Mapped(
        step_function(nnx.graphdef(model), RECIPE, 1), [[v] for v in LMBDAS], key
    )
    joined, metrics = program(program.join(fresh), batch)
    rows = program.by_model(jax.device_get(metrics))
    for lmbda, copy, state, row in zip(
        LMBDAS, copies, program.split(joined), rows, strict=True
    ):
        step = compiled_step(model, RECIPE)
        other, expected = step(jax.device_put(copy), batch, lmbda, key)
        assert row["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
        moments = [s.optimizer[1][0].mu for s in (state, other)]
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
