"""Models of several rates: gains around latents, every rate from one model."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, LearnedCodec
from rdc.codec.container import Header, pack, unpack
from rdc.codec.exported import PRIORS_PER_RATE, export
from rdc.codec.symbols import factor
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.layers.rate_gains import SPEED, SharedGains
from rdc.model import CompressionModel
from rdc.specs.coding import MAX_RATES, RATE_STEPS, OperatingPoint
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.training.start import middle_lmbda, start_from_principal_components
from tests.architectures import ALL

LMBDAS = (0.003, 0.0125, 0.05)
POINTS = tuple(OperatingPoint(rate=i, lmbda=v) for i, v in enumerate(LMBDAS))
# One without a hyper-transform, whose prior has to follow the gains; one of one step;
# one of several steps with what was decoded as their support.
NAMES = (
    "conv-factorized-None",
    "conv-mean_scale_hyperprior-conv",
    "conv-charm-conv",
    "evc-dual_spatial_prior-evc",
)


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, list[Path]]) -> np.ndarray:
    return read_image(photographs["eval"][0])[40:136, 100:240]


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, photograph: np.ndarray) -> CompressionModel:
    model = build(ALL[request.param], 0, LMBDAS)
    crops = photograph[None, :64, :128]
    start_from_principal_components(model, crops, middle_lmbda(LMBDAS))
    return model


@pytest.fixture(scope="module")
def codec(model: CompressionModel) -> LearnedCodec:
    return LearnedCodec.of(model, POINTS, numerics="native")


def test_more_bits_and_less_error_from_rate_to_rate(
    codec: LearnedCodec, photograph: np.ndarray
) -> None:
    """At operating points and between them; the decoder learns the rate by the file."""
    assert codec.continuous
    sizes, errors = [], []
    for rate in (0, 0.5, 1, 1.3, 2):
        encoded = codec.encoded(photograph, rate)
        decoded = codec.decoded(encoded.data)
        np.testing.assert_array_equal(decoded.y_hat, encoded.y_hat)
        assert encoded.bits_estimated is not None
        sizes.append(encoded.bits_estimated)
        errors.append(np.mean((decoded.x_hat - photograph.astype(float)) ** 2))
        assert unpack(encoded.data)[0].rate == round(rate * RATE_STEPS) / RATE_STEPS
    assert sizes == sorted(set(sizes))
    assert errors == sorted(set(errors), reverse=True)


def test_priors_follow_the_gains(codec: LearnedCodec, photograph: np.ndarray) -> None:
    """Between rates, too, files are as long over the estimate as at them."""
    priors = codec._exported.priors
    # Where y itself has the gains, z is rounded alike at every rate.
    several = codec.model.latent_gains is None
    assert len(priors) == (len(LMBDAS) - 1) * PRIORS_PER_RATE * several + 1
    ratios = {}
    for rate in (0, 1, 1.375, 2):
        encoded = codec.encoded(photograph, rate)
        assert encoded.bits_estimated is not None
        header = len(pack(unpack(encoded.data)[0], b""))
        ratios[rate] = 8 * (len(encoded.data) - header) / encoded.bits_estimated
    between = ratios.pop(1.375)
    assert between < max(ratios.values()) + 0.003


def test_every_rate_is_a_quality(codec: LearnedCodec, photograph: np.ndarray) -> None:
    assert codec.compress(photograph, 2.5) == codec.encode(photograph, 1.5)
    assert codec.compress(photograph, 2.49) == codec.encode(photograph, 1.5)
    assert codec.compress(photograph) == codec.encode(photograph, 1)
    for quality in (0.9, 3.1, -1):
        with pytest.raises(ConfigError, match="quality is 1 to 3 with this model"):
            codec.compress(photograph, quality)
    for rate in (-0.5, 2.5):
        with pytest.raises(ConfigError, match="rates 0 to 2"):
            codec.encode(photograph, rate)


def test_streams_of_a_rate_that_is_not_there_are_refused(
    codec: LearnedCodec, photograph: np.ndarray
) -> None:
    header, payload = unpack(codec.compress(photograph))
    values = vars(header) | {"rate": 2 + 1 / RATE_STEPS}
    with pytest.raises(BitstreamError, match="rates go from 0 to 2"):
        codec.decompress(pack(Header(**values), payload))


def test_what_is_exported_codes_alike(
    codec: LearnedCodec, photograph: np.ndarray, tmp_path: Path
) -> None:
    written = export(codec.model, tmp_path, {}, POINTS)
    read = LearnedCodec.load(tmp_path, numerics="native")
    assert read.operating_points == POINTS
    assert [t.sha256 for t in read._exported.priors] == [
        t.sha256 for t in written.priors
    ]
    for rate in (0, 1.5, 2):
        one, other = codec.encoded(photograph, rate), read.encoded(photograph, rate)
        np.testing.assert_array_equal(one.y_hat, other.y_hat)
        assert len(one.data) == len(other.data)


def test_gains_begin_as_theory_has_them_and_all_learn(model: CompressionModel) -> None:
    gains = model.gains
    assert gains is not None
    roots = np.sqrt(np.array(LMBDAS) / middle_lmbda(LMBDAS))
    for rate, root in enumerate(roots):
        np.testing.assert_allclose(np.exp(gains.at(rate).gain), root, rtol=1e-5)
    between = np.exp(gains.at(1.5).gain)
    np.testing.assert_allclose(between, np.sqrt(roots[1] * roots[2]), rtol=1e-5)
    np.testing.assert_allclose(gains.at(0.25).inverse, -gains.at(0.25).gain, rtol=1e-5)
    of_images = gains.at(jax.numpy.asarray([0.0, 1.5])).gain
    assert of_images.shape == (2, 1, 1, between.size)
    np.testing.assert_allclose(of_images[1, 0, 0], np.log(between), rtol=1e-5)
    if model.hyper_gains is not None:
        assert not np.any(model.hyper_gains.at(0.7).gain)


def test_gains_of_the_host_are_those_of_training(model: CompressionModel) -> None:
    gains = model.gains
    assert gains is not None
    random = np.random.default_rng(0)
    shared = isinstance(gains, SharedGains)
    stored = gains.stored_step if shared else gains.stored_gain
    stored.set_value(random.normal(size=stored.shape).astype(np.float32) / SPEED)
    for rate in (0, 0.4375, 2):
        for one, other in zip(gains.at(rate), gains.on_host(rate), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(factor(other), np.exp(one), rtol=1e-5)


def test_lambdas_between_operating_points(codec: LearnedCodec) -> None:
    assert [codec.lmbda_of(i) for i in range(3)] == pytest.approx(LMBDAS)
    assert codec.lmbda_of(1.5) == pytest.approx(0.025)
    assert LearnedCodec.of(codec.model).lmbda_of(1) is None


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((0.05, 0.01), "ascending"),
        ((0.01, 0.01), "different"),
        ((), "positive"),
        (tuple(0.001 * (i + 1) for i in range(MAX_RATES + 1)), "at most 16 rates"),
    ],
)
def test_impossible_rates_are_refused(rates: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelSpec(
            architecture=ALL["conv-factorized-None"],
            recipe=Recipe(),
            rates=rates,
            data_sha256="0",
        )
