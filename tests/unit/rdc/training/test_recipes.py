"""What a recipe may say, and what of it makes a run another one."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
import yaml
from jax import numpy as jnp

from rdc.errors import ConfigError
from rdc.measurements import metrics
from rdc.ops.distortions import DISTORTIONS
from rdc.ops.ms_ssim import ms_ssim
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training.loop import micro_batches
from tests.architectures import ALL
from tests.conftest import REPOSITORY

RECIPE = Recipe(steps=60, batch_size=2, crop_px=64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "train.learning_rate is positive; got 0.0"),
        ({"accumulate": 0}, "train.accumulate is at least 1"),
        ({"accumulate": 3}, r"accumulate divides train.batch_size \(32\); got 3"),
        ({"ema": 1.0}, "train.ema is at least 0 and less than 1"),
        ({"precision": "float16"}, "precision"),
        ({"kernel_basis": "dct"}, "train.kernel_basis: .*'pixels' or 'frequencies'"),
        ({"upscaling": 0.5}, "train.upscaling lies between 1 and 4; got 0.5"),
        ({"distortion": "msssim"}, "[Dd]id you mean ms_ssim"),
        (
            {"distortion": "ms_ssim", "crop_px": 128},
            "crop_px is at least 161 for distortion ms_ssim; got 128",
        ),
    ],
)
def test_impossible_recipes_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict(values, "train")


@pytest.mark.parametrize("rates", [(), (-0.01,), (0.0,), (0.01, 0.01)])
def test_impossible_rates_are_refused(rates: tuple[float, ...]) -> None:
    rule = r"rates \(train.lmbda\) are different positive numbers"
    with pytest.raises(ConfigError, match=rule):
        model(RECIPE, rates)


def test_crops_must_be_multiples_of_the_stride() -> None:
    with pytest.raises(ConfigError, match=r"stride \(64\); got 100. Use 128"):
        model(replace(RECIPE, crop_px=100), (0.01,))


def model(recipe: Recipe, rates: tuple[float, ...]) -> ModelSpec:
    return ModelSpec(
        architecture=ALL["conv-mean_scale_hyperprior-conv"],
        recipe=recipe,
        rates=rates,
        data_sha256="bundled",
    )


def test_a_number_of_warm_up_steps_goes_before_a_share() -> None:
    """Also on the default recipe, which has a share."""
    study = yaml.safe_load((REPOSITORY / "conf/train/study.yaml").read_text())
    for not_of_a_recipe in ("lmbda", "teacher"):
        study.pop(not_of_a_recipe, None)
    shared = Recipe.from_dict(study, "train")
    counted = Recipe.from_dict({**study, "warmup_steps": 100}, "train")
    assert shared.warmup_share > 0
    assert (shared.warmup, counted.warmup) == (10_000, 100)


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "factor", "expected"),
    [(32, 1, 1, 1), (32, 1, 2, 2), (32, 4, 2, 8), (6, 1, 4, 6), (9, 1, 2, 3)],
)
def test_micro_batches_after_out_of_memory(
    batch_size: int, accumulate: int, factor: int, expected: int
) -> None:
    recipe = Recipe(batch_size=batch_size, accumulate=accumulate)
    assert micro_batches(recipe, factor) == expected


def test_ms_ssim_is_defined_where_the_metric_is() -> None:
    assert DISTORTIONS["ms_ssim"].least_px == metrics.MS_SSIM_MIN_SIDE_PX


def images(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth image and a noisy one, u8[2,163,170,3]."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:163, :170]
    smooth = 128 + 60 * np.sin(rows / 9) + 40 * np.cos(columns / 5)
    x = np.stack([smooth, smooth[::-1]])
    x = np.repeat(x[..., None], 3, axis=-1)
    noisy = x + noise * random.standard_normal(x.shape)
    return tuple(np.clip(np.round(a), 0, 255).astype(np.uint8) for a in (x, noisy))


@pytest.mark.parametrize("noise", [2.0, 40.0])
def test_ms_ssim_equals_the_metric(noise: float) -> None:
    x, noisy = images(noise)
    ours = ms_ssim(*(jnp.asarray(a, jnp.float32) / 255 for a in (x, noisy)))
    expected = [metrics.ms_ssim(a, b) for a, b in zip(x, noisy, strict=True)]
    np.testing.assert_allclose(ours, expected, rtol=2e-5)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortions_pull_towards_the_image(name: str) -> None:
    """Also from a flat reconstruction, where contrast is zero or negative."""
    x = jnp.asarray(images(0.0)[0], jnp.float32) / 255
    function = DISTORTIONS[name].function
    np.testing.assert_allclose(function(x, x), np.zeros(len(x)), atol=1e-6)
    for start in (jnp.full_like(x, 0.3), 1.0 - x):
        value, gradient = jax.value_and_grad(lambda y: function(x, y).mean())(start)
        assert np.isfinite(gradient).all()
        assert float(jnp.vdot(gradient, x - start)) < 0.0
        assert float(value) > 0.0
