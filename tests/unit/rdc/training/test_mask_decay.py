"""A narrow model grown out of a wide one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.codec.exported import export
from rdc.entropy_models.scale_hyperprior import ScaleHyperprior
from rdc.errors import ConfigError, DivergedError, PreemptedError
from rdc.model import CompressionModel
from rdc.registry import parse_architecture
from rdc.specs.coding import OperatingPoint
from rdc.specs.components import ArchitectureSpec
from rdc.training import course
from rdc.training.loop import train
from rdc.training.mask_decay import LEAST_GAP, MaskDecay, _decayed
from rdc.training.widths import Group
from tests.unit.rdc.training.conftest import IMAGES, NEVER, RATES, RECIPE, weights

REST = {
    "entropy_model": "mean_scale_hyperprior",
    "hyper_transform": {
        "name": "conv",
        "analysis_channels": [8, 12, 10],
        "synthesis_channels": [10, 14],
    },
}
# Of every transform, a wide and a narrow one; not all widths differ.
PAIRS: dict[str, tuple[dict, dict]] = {
    "evc": (
        {"encoder_channels": [12, 16, 20], "decoder_channels": [10, 16, 24]},
        {"encoder_channels": [8, 8, 20], "decoder_channels": [6, 12, 11]},
    ),
    "conv": ({"channels": [12, 16, 8]}, {"channels": [7, 16, 5]}),
    "elic": (
        {"channels": [8, 12, 16], "residual_blocks": 1},
        {"channels": [6, 10, 8], "residual_blocks": 1},
    ),
    "swint": (
        {"widths": [16, 24, 32, 24], "depths": [2, 1, 1, 2]},
        {"widths": [8, 16, 16, 24], "depths": [2, 1, 1, 2]},
    ),
    "one_scale": (
        {"channels": 20, "encoder_blocks": 2, "decoder_blocks": 2},
        {"channels": 12, "encoder_blocks": 2, "decoder_blocks": 2},
    ),
}
FIXED = {"swint": {"window": 4, "head_dim": 8}}


def architecture(name: str, sizes: dict) -> ArchitectureSpec:
    fixed = FIXED.get(name, {"latent_channels": 24})
    return parse_architecture({"transform": {"name": name, **fixed, **sizes}, **REST})


def both(name: str) -> tuple[CompressionModel, CompressionModel]:
    wide, narrow = (build(architecture(name, sizes), seed=1) for sizes in PAIRS[name])
    return wide, narrow


def outputs(
    make: Callable[[Any], CompressionModel],
) -> Callable[[Any], tuple[jax.Array, jax.Array]]:
    """Of both transforms, for an odd number of latent rows; compiled once.

    Args:
      make: the model of what is given then.
    """
    random = np.random.default_rng(0)
    x = random.random((1, 48, 80, 3)).astype(np.float32)
    y = 3 * random.normal(size=(1, 3, 5, 24)).astype(np.float32)

    @jax.jit
    def of(given: Any) -> tuple[jax.Array, jax.Array]:
        model = make(given)
        return model.analysis_transform(x), model.synthesis_transform(y)

    return of


@pytest.mark.parametrize("name", PAIRS)
def test_the_student_computes_what_the_masked_teacher_did(name: str) -> None:
    wide, narrow = both(name)
    method = MaskDecay(wide, narrow, rate=0.1, steps=40)
    graph, params = nnx.graphdef(wide), method.initial(wide)
    # Masks of 1 change no bit of any weight.
    masked = method.model(graph, params)
    before, after = nnx.state(wide), nnx.state(masked, nnx.Param)
    for ours, theirs in zip(
        jax.tree.leaves(after), jax.tree.leaves(before), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    random = np.random.default_rng(1)
    gaps = []
    for group in method.widths.groups:
        gap = random.uniform(-0.5, 0.9, group.size).astype(np.float32)
        gap[random.permutation(group.size)[: group.size - group.kept]] = 1.0
        gaps.append(jnp.asarray(gap))
    params = {**params, "gaps": gaps}
    merged = method.merged(params)
    assert merged.spec == narrow.spec
    found = outputs(partial(nnx.merge, nnx.graphdef(merged)))(nnx.state(merged))
    masked = outputs(partial(method.model, graph))(params)
    for ours, theirs in zip(found, masked, strict=True):
        error = float(jnp.abs(ours - theirs).max() / jnp.abs(theirs).max())
        assert error < 1e-5


def test_masks_of_one_stage_are_as_many_as_published() -> None:
    """EVC's encoder from large to small: 1344 entries a stage; 448, 448, 896 kept."""
    wide, narrow = (build(f"evc_{size}l", seed=None) for size in "ls")
    groups = MaskDecay(wide, narrow, rate=0.1, steps=40).widths.groups
    stages = [groups[i : i + 4] for i in range(0, len(groups), 4)]
    assert [sum(g.size for g in stage) for stage in stages] == [1344] * 3
    assert [sum(g.kept for g in stage) for stage in stages] == [448, 448, 896]


def test_gaps_grow_from_far_below_what_float32_adds_to_one() -> None:
    group, rate = Group(size=4, kept=2, label=""), 0.01
    gap = jnp.asarray([1e-6, -1e-6, 2e-6, 0.0])
    step = jax.jit(lambda gap: _decayed(gap, gap, group, rate))
    for _ in range(1500):
        gap = step(gap)
    # Below 1 the gap grows by the rate; above, it falls; at 1 it stays.
    found = np.asarray(gap)
    assert (found[[0, 2]] == 1.0).all()
    assert -1e-6 < found[1] < 0
    assert found[3] == 0


def test_channels_that_nothing_moves_die_where_too_many_live() -> None:
    """At 1, and held up above it by steps of the loss."""
    group, rate = Group(size=6, kept=2, label=""), 0.02
    held = jnp.asarray([0.0, -1e-3, 0.0, -1e-3, 0.0, 0.0])
    gap = jnp.asarray([0.0, -0.05, 0.0, -0.06, 1e-4, -1e-4])
    for age in range(480):
        least = LEAST_GAP if age >= 120 else 0.0
        gap = _decayed(gap, gap + held, group, rate, least)
    assert (np.asarray(gap) < 1.0).tolist() == [False, True, False, True, False, False]


def test_no_more_channels_die_than_must() -> None:
    group = Group(size=5, kept=2, label="")
    old = jnp.asarray([1.0, 0.9, 0.95, 0.2, 0.97])
    new = jnp.asarray([0.3, 1.2, 1.1, 0.2, 1.4])
    found = np.asarray(_decayed(old, new, group, rate=0.1))
    assert (found == 1.0).tolist() == [True, True, False, False, True]
    again = np.asarray(_decayed(jnp.asarray(found), jnp.full(5, 2.0), group, 0.1))
    assert (again == 1.0).tolist() == [True, True, False, False, True]


def test_teachers_that_do_not_fit_are_refused() -> None:
    wide, narrow = both("conv")
    with pytest.raises(ConfigError, match="nowhere narrower"):
        MaskDecay(narrow, wide, rate=0.1, steps=40)
    with pytest.raises(ConfigError, match="wider than its student"):
        MaskDecay(wide, wide, rate=0.1, steps=40)
    with pytest.raises(ConfigError, match="of one transform"):
        MaskDecay(both("elic")[0], narrow, rate=0.1, steps=40)
    deep = build(architecture("elic", {**PAIRS["elic"][0], "residual_blocks": 2}), None)
    with pytest.raises(ConfigError, match="same layers"):
        MaskDecay(deep, both("elic")[1], rate=0.1, steps=40)
    other = replace(wide.spec, entropy_model=ScaleHyperprior())
    with pytest.raises(ConfigError, match="same entropy_model"):
        MaskDecay(build(other, None), narrow, rate=0.1, steps=40)


# The smallest pair, for trainings.
TEACHER, STUDENT = (
    parse_architecture(
        {
            "transform": {"name": "conv", "channels": [w] * 3, "latent_channels": 8},
            "entropy_model": "factorized",
        }
    )
    for w in (6, 4)
)
DECAY = replace(
    RECIPE,
    method="mask_decay",
    steps=60,
    warmup_steps=0,
    decay_share=0.5,
    decay_rate=0.5,
    learning_rate=1e-3,
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    points = [OperatingPoint(lmbda=lmbda) for lmbda in RATES]
    export(build(TEACHER, 0, RATES), folder, {"run_id": "0" * 16}, points)
    return folder


def trained(folder: Path, teacher: Path, recipe: Any = DECAY, **options: Any) -> Any:
    return train(STUDENT, recipe, RATES, IMAGES, folder, init_from=teacher, **options)


def test_a_student_is_a_model_of_its_own(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path / "whole", teacher)
    assert whole.model.spec == STUDENT
    assert whole.spec.init_from == "0" * 16
    assert whole.summary.steps == 60
    # Interrupted among the masks and behind them: the same to the bit.
    real = course.compiled_step
    stops = iter([17, 44])
    stop = next(stops)

    def compiled(*arguments: Any) -> Any:
        step = real(*arguments)

        def stopping(state: Any, *others: Any) -> Any:
            if int(state.step) == stop:
                signal.raise_signal(signal.SIGTERM)
            return step(state, *others)

        return stopping

    monkeypatch.setattr(course, "compiled_step", compiled)
    folders = [tmp_path / str(i) for i in range(3)]
    for number, at in enumerate((18, 45)):
        with pytest.raises(PreemptedError, match=f"step {at}"):
            trained(
                folders[number],
                teacher,
                checkpoint=NEVER,
                resume_from=folders[:number],
            )
        stop = next(stops, -1)
    again = trained(folders[2], teacher, checkpoint=NEVER, resume_from=folders[:2])
    assert again.resumed_from_step == 45
    for a, b in zip(weights(whole.model), weights(again.model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masks_that_do_not_get_there_end_the_training(
    teacher: Path, tmp_path: Path
) -> None:
    slow = replace(DECAY, steps=4, decay_rate=1e-9)
    with pytest.raises(DivergedError, match=r"analysis_transform.layers.0: 6 for 4"):
        trained(tmp_path, teacher, slow)
