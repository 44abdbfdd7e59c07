"""The training loop: resumption to the bit, refusals, divergence, preemption."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec.exported import export
from rdc.data.image_sets import list_images
from rdc.errors import (
    ConfigError,
    DataError,
    DivergedError,
    PreemptedError,
)
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training import course, train
from rdc.training.input import CropSource, ImageSource, training_batches
from rdc.training.optimizers import schedule
from rdc.training.step import compiled_step, initial_state
from tests.architectures import ALL
from tests.unit.rdc.training.conftest import (
    ARCHITECTURE,
    IMAGES,
    NEVER,
    RATES,
    RECIPE,
    saved_steps,
    trained,
    weights,
)


def logged(folder: Path) -> list[dict[str, float]]:
    """The lines of a training's metrics."""
    return list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))


def disturbed(monkeypatch: pytest.MonkeyPatch, disturb: Callable) -> None:
    """Every step gets the state that `disturb` makes of it."""
    real = course.compiled_step

    def compiled(*arguments: Any) -> Any:
        step = real(*arguments)
        return lambda state, *others: step(disturb(state), *others)

    monkeypatch.setattr(course, "compiled_step", compiled)


def broken(state: Any) -> Any:
    return replace(state, params=jax.tree.map(lambda w: w * np.nan, state.params))


def stop_before(step: int) -> Callable:
    """SIGTERM while the step after `step` is on its way."""

    def disturb(state: Any) -> Any:
        if int(state.step) == step:
            signal.raise_signal(signal.SIGTERM)
        return state

    return disturb


def test_metrics_are_written(undisturbed: tuple) -> None:
    whole, folder = undisturbed
    rows = logged(folder)
    assert [row["step"] for row in rows] == [20, 40, 60]
    assert rows[-1]["loss"] == whole.summary.loss_last < whole.summary.loss_first
    assert rows[0]["loss"] == pytest.approx(
        rows[0]["bpp"] + 0.0125 * rows[0]["mse_255"], rel=1e-4
    )
    assert all(0 <= row["input_share"] < 1 for row in rows)
    assert all(row["steps_per_second"] > 0 for row in rows)
    assert list((folder / "tensorboard").iterdir())
    assert json.loads((folder / "progress.json").read_text())["step"] == 60


def test_diverged_after_one_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN that comes back after the return to the checkpoint ends the training."""
    disturbed(monkeypatch, lambda s: broken(s) if int(s.step) >= 20 else s)
    with pytest.raises(DivergedError, match="after 1 rollback"):
        trained(tmp_path)


def test_a_rollback_before_the_first_checkpoint_returns_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = iter([True] * 10)
    disturbed(
        monkeypatch,
        lambda s: broken(s) if int(s.step) >= 10 and next(poisoned, False) else s,
    )
    summary = trained(tmp_path, checkpoint=NEVER).summary
    assert (summary.rollbacks, summary.skipped_steps) == (1, 10)
    assert summary.steps == 60
    assert [row["step"] for row in logged(tmp_path)] == [20, 40, 60]
    # The time is that of 80 steps: 20 were done, and done again.
    rate = 80 / summary.train_seconds
    assert summary.steps_per_second == pytest.approx(rate)


def test_sigterm_is_heard_within_a_window(
    undisturbed: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next step; the means of the cut window are those of an undisturbed run."""
    whole, folder = undisturbed
    with monkeypatch.context() as patch:
        disturbed(patch, stop_before(25))
        with pytest.raises(PreemptedError, match="step 26"):
            trained(tmp_path / "1", checkpoint=NEVER)
    assert saved_steps(tmp_path / "1") == [26]
    resumed = trained(tmp_path / "2", checkpoint=NEVER, resume_from=[tmp_path / "1"])
    assert resumed.resumed_from_step == 26
    for a, b in zip(weights(whole.model), weights(resumed.model), strict=True):
        np.testing.assert_array_equal(a, b)

    def means(rows: list[dict[str, float]]) -> list[dict[str, float]]:
        speed = {"steps_per_second", "input_share"}
        return [{k: v for k, v in row.items() if k not in speed} for row in rows]

    both = logged(tmp_path / "1") + logged(tmp_path / "2")
    assert means(both) == means(logged(folder))
    rate = 60 / resumed.summary.train_seconds
    assert resumed.summary.steps_per_second == pytest.approx(rate)


def test_a_model_starts_from_another(
    undisturbed: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = undisturbed
    provenance = {"run_id": whole.spec.run_id}
    points = whole.spec.operating_points
    export(whole.model, tmp_path / "model", provenance, points)
    seen = []
    disturbed(monkeypatch, lambda s: seen.append(jax.device_get(s.params)) or s)
    recipe = replace(RECIPE, steps=1, warmup_steps=0)
    tuned = trained(tmp_path / "1", recipe, init_from=tmp_path / "model")
    assert tuned.spec.init_from == whole.spec.run_id
    assert tuned.spec.run_id != replace(tuned.spec, init_from=None).run_id
    for a, b in zip(jax.tree.leaves(seen[0]), weights(whole.model), strict=True):
        np.testing.assert_array_equal(a, b)
    other = ALL["conv-factorized-None"]
    settings = {"init_from": tmp_path / "model"}
    with pytest.raises(ConfigError, match="its own architecture"):
        train(other, recipe, RATES, IMAGES, tmp_path / "2", **settings)


def test_a_non_finite_step_changes_no_weight() -> None:
    model = build(ARCHITECTURE, seed=0)
    state = initial_state(model, RECIPE)
    poison = jax.tree.leaves(state.params)[0].at[...].set(np.nan)
    params = jax.tree.unflatten(
        jax.tree.structure(state.params), [poison, *jax.tree.leaves(state.params)[1:]]
    )
    before = [np.asarray(w) for w in jax.tree.leaves(params)]
    batch = np.zeros((2, 64, 64, 3), np.uint8)
    step = compiled_step(model, RECIPE)
    poisoned = replace(state, params=params)
    after, metrics = step(poisoned, batch, 0.0125, jax.random.key(0))
    assert metrics["skipped"] == 1
    assert after.step == 1
    for a, b in zip(before, jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_crop_must_fit_the_architecture() -> None:
    with pytest.raises(ConfigError, match="multiple of the architecture's stride"):
        ModelSpec(
            architecture=ARCHITECTURE,
            recipe=replace(RECIPE, crop_px=100),
            rates=RATES,
            data_sha256="00",
        )


def test_images_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 1024 pixels"):
        trained(tmp_path, replace(RECIPE, crop_px=1024))


def test_images_may_be_a_list_of_paths(undisturbed: tuple, tmp_path: Path) -> None:
    """The same data under its name and as files: the same model."""
    paths = [os.fspath(path) for path in list_images(IMAGES)]
    settings = {"resume_from": [undisturbed[1]], "checkpoint": NEVER}
    again = train(ARCHITECTURE, RECIPE, RATES, paths, tmp_path, **settings)
    assert again.spec == undisturbed[0].spec
    assert again.resumed_from_step == 60


def test_samples_are_a_function_of_seed_and_number() -> None:
    paths = list_images("bundled:train")
    images = ImageSource(paths)

    def source(seed: int) -> CropSource:
        return CropSource(images, crop_px=32, seed=seed, samples=1000)

    np.testing.assert_array_equal(source(0)[17], source(0)[17])
    assert (source(0)[17] != source(1)[17]).any()
    assert (source(0)[17] != source(0)[17 + len(paths)]).any()  # another crop
    orders = [tuple(source(0)._order(epoch)) for epoch in range(20)]
    assert all(sorted(order) == list(range(len(paths))) for order in orders)
    assert len(set(orders)) > 10


def test_iterators_resume_to_the_exact_sample() -> None:
    def batches():
        return training_batches(
            list_images("bundled:train"), crop_px=32, batch_size=3, seed=5, steps=50
        )

    first = batches()
    seen = [next(first) for _ in range(4)]
    state = first.get_state()
    rest = [next(first) for _ in range(3)]
    second = batches()
    second.set_state(json.loads(json.dumps(state)))
    for a, b in zip(rest, [next(second) for _ in range(3)], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (seen[0] != rest[0]).any()


def test_a_damaged_image_is_replaced_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = list_images("bundled:train")[0]
    damaged = tmp_path / "damaged.png"
    data = bytearray(good.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    damaged.write_bytes(data)
    images = ImageSource([damaged, good])
    np.testing.assert_array_equal(images[0], images[1])
    assert "damaged.png" in caplog.text


def test_schedule() -> None:
    recipe = Recipe(
        steps=100,
        learning_rate=1.0,
        warmup_steps=10,
        decay_start=0.5,
        final_learning_rate_ratio=0.1,
    )
    rate = schedule(recipe)
    values = [float(rate(step)) for step in (0, 5, 10, 49, 75, 100)]
    np.testing.assert_allclose(values, [0, 0.5, 1, 1, 0.55, 0.1], atol=0.03)
    by_share = schedule(replace(recipe, warmup_steps=0, warmup_share=0.1))
    assert [float(by_share(step)) for step in (0, 5, 10, 49, 75, 100)] == values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("steps", 0),
        ("warmup_steps", 10**9),
        ("warmup_share", 1.5),
        ("final_learning_rate_ratio", 2.0),
    ],
)
def test_impossible_recipes_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        Recipe.from_dict({field: value})
