"""The training loop: resumption to the bit, refusals, divergence, preemption."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.data.image_sets import list_images
from rdc.errors import ConfigError, DataError, DivergedError, PreemptedError
from rdc.jobs.job import Request, TrainJob
from rdc.specs.training import CheckpointSpec, TrainSpec
from rdc.training import checkpoints, loop
from rdc.training.checkpoints import CheckpointTimer
from rdc.training.input import CropSource, ImageSource, training_batches
from rdc.training.step import initial_state, make_step, schedule
from tests.architectures import ALL

JOB = TrainJob(
    architecture=ALL["conv-mean_scale_hyperprior-conv"],
    train=TrainSpec(
        steps=60, batch_size=2, crop_px=64, learning_rate=1e-3, warmup_steps=5
    ),
    data_sha256="bundled",
)
EVERY_WINDOW = Request(
    images="bundled:train", checkpoint=CheckpointSpec(every_seconds=0)
)


def weights(model) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model))]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[loop.Trained, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return loop.train(JOB, EVERY_WINDOW, folder), folder


def test_resuming_is_bit_equal(undisturbed: tuple, tmp_path: Path) -> None:
    whole, folder = undisturbed
    earlier = tmp_path / "1"
    shutil.copytree(folder / "checkpoint", earlier / "checkpoint")
    shutil.rmtree(earlier / "checkpoint/60")  # as if killed before the last step
    resumed_folder = tmp_path / "2"
    resumed_folder.mkdir()
    request = replace(EVERY_WINDOW, resume_from=(str(earlier),))
    resumed = loop.train(JOB, request, resumed_folder)
    assert resumed.result["resumed_from_step"] == 40
    for a, b in zip(weights(whole.model), weights(resumed.model), strict=True):
        np.testing.assert_array_equal(a, b)
    for key in ("loss_first", "loss_last", "steps", "skipped_steps"):
        assert resumed.result[key] == whole.result[key]


def test_a_truncated_checkpoint_falls_back_to_the_one_before(
    undisturbed: tuple, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, folder = undisturbed
    earlier = tmp_path / "1"
    shutil.copytree(folder / "checkpoint", earlier / "checkpoint")
    for path in (earlier / "checkpoint/60").rglob("*"):
        if path.is_file() and path.stat().st_size > 200:
            path.write_bytes(path.read_bytes()[:100])
    resumed_folder = tmp_path / "2"
    resumed_folder.mkdir()
    request = replace(EVERY_WINDOW, resume_from=(str(earlier),))
    assert loop.train(JOB, request, resumed_folder).result["resumed_from_step"] == 40
    assert "60 skipped" in caplog.text


def test_checkpoints_by_step(undisturbed: tuple, tmp_path: Path) -> None:
    """At the multiples asked for and at the end, and only the newest stay."""
    for keep, left in ((2, ["40", "60"]), (1, ["60"])):
        folder = tmp_path / str(keep)
        folder.mkdir()
        spec = CheckpointSpec(every_seconds=None, every_steps=40, keep=keep)
        loop.train(JOB, replace(EVERY_WINDOW, checkpoint=spec), folder)
        assert sorted(p.name for p in (folder / "checkpoint").iterdir()) == left


def test_checkpoints_by_time_take_two_per_cent_of_it() -> None:
    times = iter([0, 59, 60, 70, 70 + 60, 70 + 499, 70 + 500])
    timer = CheckpointTimer(CheckpointSpec(every_seconds=60), lambda: next(times))
    assert [timer.due(20), timer.due(40)] == [False, True]
    timer.saved(10)  # slow: 10 s of 500
    assert [timer.due(60), timer.due(80), timer.due(100)] == [False, False, True]


def test_checkpoints_of_another_run_are_not_taken(
    undisturbed: tuple, tmp_path: Path
) -> None:
    other = replace(JOB, data_sha256="other photographs")
    request = replace(EVERY_WINDOW, resume_from=(str(undisturbed[1]),))
    assert loop.train(other, request, tmp_path).result["resumed_from_step"] == 0


def test_checkpoints_of_another_version_are_not_taken(
    undisturbed: tuple,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Their weights mean something else, though the run is the same."""
    monkeypatch.setattr(checkpoints, "VERSION", checkpoints.VERSION + 1)
    request = replace(EVERY_WINDOW, resume_from=(str(undisturbed[1]),))
    assert loop.train(JOB, request, tmp_path).result["resumed_from_step"] == 0
    assert "another run's or version's" in caplog.text


def test_metrics_are_written(undisturbed: tuple) -> None:
    whole, folder = undisturbed
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [20, 40, 60]
    assert rows[-1]["loss"] == whole.result["loss_last"] < whole.result["loss_first"]
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
    """A NaN that comes back after the return to the checkpoint ends the run."""
    real = loop.make_step

    def poisoned(model, spec):
        step = real(model, spec)

        def run(state, batch):
            if int(state.step) >= 20:
                broken = jax.tree.map(lambda w: w * jnp.nan, state.params)
                state = replace(state, params=broken)
            return step(state, batch)

        return run

    monkeypatch.setattr(loop, "make_step", poisoned)
    with pytest.raises(DivergedError, match="after 1 rollback"):
        loop.train(JOB, EVERY_WINDOW, tmp_path)


def test_a_rollback_before_the_first_checkpoint_returns_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.make_step
    poisoned = iter([True] * 10)

    def make(model, spec):
        step = real(model, spec)

        def run(state, batch):
            if int(state.step) >= 10 and next(poisoned, False):
                broken = jax.tree.map(lambda w: w * jnp.nan, state.params)
                state = replace(state, params=broken)
            return step(state, batch)

        return run

    monkeypatch.setattr(loop, "make_step", make)
    request = replace(EVERY_WINDOW, checkpoint=CheckpointSpec(every_seconds=None))
    result = loop.train(JOB, request, tmp_path).result
    assert (result["rollbacks"], result["skipped_steps"]) == (1, 10)
    assert result["steps"] == 60
    logged = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in logged] == [20, 40, 60]


def test_a_non_finite_step_changes_no_weight() -> None:
    model = build(JOB.architecture, seed=0)
    state = initial_state(model, JOB.train)
    poison = jax.tree.leaves(state.params)[0].at[...].set(jnp.nan)
    params = jax.tree.unflatten(
        jax.tree.structure(state.params), [poison, *jax.tree.leaves(state.params)[1:]]
    )
    before = [np.asarray(w) for w in jax.tree.leaves(params)]
    batch = np.zeros((2, 64, 64, 3), np.uint8)
    after, metrics = make_step(model, JOB.train)(replace(state, params=params), batch)
    assert metrics["skipped"] == 1
    assert after.step == 1
    for a, b in zip(before, jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sigterm_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.make_step

    def killed(model, spec):
        step = real(model, spec)

        def run(state, batch):
            if int(state.step) == 25:
                signal.raise_signal(signal.SIGTERM)
            return step(state, batch)

        return run

    monkeypatch.setattr(loop, "make_step", killed)
    request = replace(EVERY_WINDOW, checkpoint=CheckpointSpec(every_seconds=None))
    with pytest.raises(PreemptedError, match="step 40"):
        loop.train(JOB, request, tmp_path)
    assert (tmp_path / "checkpoint/40").is_dir()


def test_crop_must_fit_the_architecture() -> None:
    with pytest.raises(ConfigError, match="multiple of the architecture's stride"):
        replace(JOB, train=replace(JOB.train, crop_px=100))


def test_images_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    job = replace(JOB, train=replace(JOB.train, crop_px=1024))
    with pytest.raises(DataError, match="at least 1024 pixels"):
        loop.train(job, EVERY_WINDOW, tmp_path)


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
    spec = TrainSpec(
        steps=100,
        learning_rate=1.0,
        warmup_steps=10,
        decay_start=0.5,
        final_learning_rate_ratio=0.1,
    )
    rate = schedule(spec)
    values = [float(rate(step)) for step in (0, 5, 10, 49, 75, 100)]
    np.testing.assert_allclose(values, [0, 0.5, 1, 1, 0.55, 0.1], atol=0.03)
    by_share = schedule(replace(spec, warmup_steps=0, warmup_share=0.1))
    assert [float(by_share(step)) for step in (0, 5, 10, 49, 75, 100)] == values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lmbda", -0.01),
        ("learning_rate", 0.0),
        ("steps", 0),
        ("warmup_steps", 10**9),
        ("warmup_share", 1.5),
        ("final_learning_rate_ratio", 2.0),
    ],
)
def test_impossible_recipes_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        TrainSpec.from_dict({field: value})
