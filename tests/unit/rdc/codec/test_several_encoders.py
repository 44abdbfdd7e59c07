"""Several encoders for one decoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.codec.exported import export
from rdc.codec.learned import LearnedCodec
from rdc.errors import ConfigError
from rdc.model import CompressionModel
from rdc.registry import arch_id
from rdc.specs.coding import OperatingPoint
from rdc.specs.recipe import Recipe
from rdc.training import train
from tests.architectures import ALL

ONE = ALL["conv-factorized-None"]
TWO = replace(ONE, encoders=2)
LMBDA = 0.0125


def drawn(seed: int) -> CompressionModel:
    """Two encoders that differ, and give lively latents."""
    model = build(TWO, seed)
    for encoder in model.encoders:
        last = encoder.layers[-1]
        last.kernel.set_value(20 * last.kernel[...])
    return model


def test_they_are_another_architecture_with_the_same_decoder() -> None:
    assert arch_id(TWO) != arch_id(ONE)
    assert arch_id(replace(TWO, encoders=1)) == arch_id(ONE)
    with pytest.raises(ConfigError, match="1 to 4 encoders"):
        replace(ONE, encoders=5)


def test_effort_runs_more_encoders_and_takes_the_best() -> None:
    codec = LearnedCodec.of(drawn(0), [OperatingPoint(lmbda=LMBDA)])
    x = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert codec.max_effort == 1
    one, both = codec.encoded(x, effort=0), codec.encoded(x, effort=1)
    transforms = codec._coding.transforms
    latents = [transforms.analyse(x[None], 0, n) for n in (1, 2)]
    np.testing.assert_array_equal(one.y_hat, np.rint(latents[0][0]))
    candidates = [codec._coded(x, {"y": y}, 0, True) for y in latents]
    losses = [codec._loss(x, c, 0, LMBDA) for c in candidates]
    assert losses[0] != losses[1]
    assert both.data == candidates[int(np.argmin(losses))].data
    assert codec.decompress(both.data).shape == x.shape
    with pytest.raises(ConfigError, match="effort is 0 to 1"):
        codec.encoded(x, effort=2)


def test_one_more_encoder_begins_as_the_first_and_is_trained_alone(
    tmp_path: Path,
) -> None:
    before = build(ONE, seed=0)
    points = [OperatingPoint(lmbda=LMBDA)]
    export(before, tmp_path / "one", {"run_id": "1" * 16}, points)
    recipe = Recipe(
        steps=3, batch_size=2, crop_px=64, learning_rate=1e-3, trained="encoder"
    )

    def trained(steps: int) -> CompressionModel:
        return train(
            TWO,
            replace(recipe, steps=steps),
            (LMBDA,),
            "bundled:train",
            tmp_path / str(steps),
            init_from=tmp_path / "one",
        ).model

    after = trained(3)
    kept = nnx.to_flat_state(nnx.state(before))
    found = dict(nnx.to_flat_state(nnx.state(after)))
    for path, weights in kept:
        np.testing.assert_array_equal(weights[...], found[path][...])
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(nnx.state(after.extra_encoders)),
            jax.tree.leaves(nnx.state(before.analysis_transform)),
            strict=True,
        )
    ]
    assert all(changed)
