"""What a recipe may say, and what of it makes a run another one."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from rdc.errors import ConfigError
from rdc.jobs.job import EvaluateJob, TrainJob, parse_job
from rdc.measurements import metrics
from rdc.ops.distortions import DISTORTIONS
from rdc.ops.ms_ssim import ms_ssim
from rdc.specs.training import TrainSpec
from rdc.training.loop import micro_batches
from tests.architectures import ALL

JOB = TrainJob(
    architecture=ALL["conv-mean_scale_hyperprior-conv"],
    train=TrainSpec(steps=60, batch_size=2, crop_px=64),
    data_sha256="bundled",
)
ADDED = {
    "distortion": "ms_ssim",
    "precision": "bfloat16",
    "accumulate": 2,
    "remat": True,
    "ema": 0.999,
    "warmup_share": 0.1,
}


def test_identity_of_earlier_recipes_stays() -> None:
    """`run_id` of this job before the recipe had the fields of `ADDED`."""
    assert JOB.job_id == "2936f0fff2a552d9"
    earlier = JOB.to_dict()
    assert not ADDED.keys() & earlier["train"].keys()
    assert parse_job(earlier) == JOB


@pytest.mark.parametrize("name", ADDED)
def test_added_fields_make_another_run(name: str) -> None:
    train = replace(JOB.train, crop_px=192)
    plain = replace(JOB, train=train)
    other = replace(JOB, train=replace(train, **{name: ADDED[name]}))
    assert other.job_id != plain.job_id
    assert parse_job(other.to_dict()) == other


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "train.learning_rate is positive; got 0.0"),
        ({"lmbda": -0.01}, "train.lmbda is positive; got -0.01"),
        ({"accumulate": 0}, "train.accumulate is at least 1"),
        ({"accumulate": 3}, r"accumulate divides train.batch_size \(32\); got 3"),
        ({"ema": 1.0}, "train.ema is at least 0 and less than 1"),
        ({"precision": "float16"}, "precision"),
        ({"distortion": "msssim"}, "[Dd]id you mean ms_ssim"),
        (
            {"distortion": "ms_ssim", "crop_px": 128},
            "crop_px is at least 161 for distortion ms_ssim; got 128",
        ),
    ],
)
def test_impossible_recipes_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainSpec.from_dict(values, "train")


def test_crops_must_be_multiples_of_the_stride() -> None:
    with pytest.raises(ConfigError, match=r"stride \(64\); got 100. Use 128"):
        replace(JOB, train=replace(JOB.train, crop_px=100))


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "factor", "expected"),
    [(32, 1, 1, 1), (32, 1, 2, 2), (32, 4, 2, 8), (6, 1, 4, 6), (9, 1, 2, 3)],
)
def test_micro_batches_after_out_of_memory(
    batch_size: int, accumulate: int, factor: int, expected: int
) -> None:
    spec = TrainSpec(batch_size=batch_size, accumulate=accumulate)
    assert micro_batches(spec, factor) == expected


def test_ms_ssim_is_defined_where_the_metric_is() -> None:
    assert DISTORTIONS["ms_ssim"].least_px == metrics.MS_SSIM_MIN_SIDE_PX


def test_evaluations_know_what_lmbda_weighs() -> None:
    job = EvaluateJob(run_id="ab", dataset="k", data_sha256="cd", lmbda=8.0)
    assert "distortion" not in job.to_dict()
    other = replace(job, distortion="ms_ssim")
    assert parse_job(other.to_dict()) == other
    assert other.job_id != job.job_id
    row = {"mse_255": 30.0, "ms_ssim": 0.75}
    measured = {name: DISTORTIONS[name].measured(row) for name in DISTORTIONS}
    assert measured == {"mse": 30.0, "ms_ssim": 0.25}
    assert DISTORTIONS["ms_ssim"].measured({**row, "ms_ssim": None}) is None


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
    assert float(function(x, x)) == pytest.approx(0.0, abs=1e-6)
    for start in (jnp.full_like(x, 0.3), 1.0 - x):
        value, gradient = jax.value_and_grad(lambda y: function(x, y))(start)
        assert np.isfinite(gradient).all()
        assert float(jnp.vdot(gradient, x - start)) < 0.0
        assert float(value) > 0.0
