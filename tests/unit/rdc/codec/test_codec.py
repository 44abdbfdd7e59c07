"""Bitstreams of every family: sizes, damage, other models, other processes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, LearnedCodec, programs
from rdc.codec.container import pack, unpack
from rdc.codec.exported import export
from rdc.codec.networks import CompiledGaussianStep
from rdc.complexity import count
from rdc.data.images import read_image
from rdc.errors import ConfigError, DataError
from rdc.specs.coding import OperatingPoint
from tests.architectures import COVERING
from tests.elsewhere import ANOTHER_DEVICE, decode_elsewhere, hash_of

POINTS = [OperatingPoint(lmbda=0.01)]
# Families whose native streams other processes decode, too: all of the exact ones are.
PROCESSES_OF_NATIVE = [
    COVERING["conv-scale_hyperprior-conv"],
    COVERING["elic-charm-swint"],
    COVERING["evc-dual_spatial_prior-evc"],
]
SIZES = [(1, 1), (17, 33), (64, 64), (65, 130)]


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, list[Path]]) -> np.ndarray:
    return read_image(photographs["eval"][0])[50:250, 100:320]


@pytest.fixture(scope="module", params=COVERING)
def model_dir(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An exported model of random weights, made to give lively latents."""
    model = build(COVERING[request.param], seed=1)
    for layer in model.analysis_transform.layers[-2:]:
        for part in (layer, getattr(layer, "dense", None)):
            if hasattr(part, "kernel"):
                part.kernel.set_value(part.kernel[...] * 20)
    folder = tmp_path_factory.mktemp("model")
    export(model, folder, provenance={}, operating_points=POINTS)
    return folder


@pytest.fixture(scope="module", params=["native", "exact"])
def codec(request: pytest.FixtureRequest, model_dir: Path) -> LearnedCodec:
    return LearnedCodec.load(model_dir, numerics=request.param)


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(codec: LearnedCodec, photograph: np.ndarray, size: tuple) -> None:
    x = photograph[: size[0], : size[1]]
    encoded = codec.encoded(x)
    decoded = codec.decoded(encoded.data)
    assert decoded.x_hat.shape == x.shape
    assert decoded.x_hat.dtype == np.uint8
    np.testing.assert_array_equal(decoded.y_hat, encoded.y_hat)


def test_latents_are_lively(codec: LearnedCodec, photograph: np.ndarray) -> None:
    """The other tests would prove little on streams of zeros."""
    assert len(np.unique(np.rint(codec.encoded(photograph).y_hat))) > 3


def test_coded_bits_meet_the_estimate(
    codec: LearnedCodec, photograph: np.ndarray
) -> None:
    encoded = codec.encoded(photograph)
    # Header, checksums, and the rounding of scales to tables.
    assert 8 * len(encoded.data) < 1.02 * encoded.bits_estimated + 8 * 64


def test_other_processes_decode_the_same(
    codec: LearnedCodec, model_dir: Path, photograph: np.ndarray, tmp_path: Path
) -> None:
    """To the bit, on other threads and other devices too where numerics are exact;
    native streams are equal or refused there."""
    encoded = codec.encoded(photograph)
    native = unpack(encoded.data)[0].numerics == "native"
    if native and codec.model.spec not in PROCESSES_OF_NATIVE:
        return  # a process more takes ten seconds, and learns nothing new
    stream = tmp_path / "image.rdc"
    stream.write_bytes(encoded.data)
    expected = hash_of(encoded.y_hat)
    cores = os.sched_getaffinity(0)
    exact = unpack(encoded.data)[0].numerics == "exact"
    same = decode_elsewhere(model_dir, [stream], cores)
    assert same.stdout.split() == [expected], same.stderr
    places = [({min(cores)}, "")]
    if exact and codec.model.hyper_synthesis is not None:
        places.append((cores, ANOTHER_DEVICE))
    for place in places:
        other = decode_elsewhere(model_dir, [stream], *place)
        if other.returncode and not exact:
            assert "computes the entropy parameters" in other.stderr
        else:
            assert other.stdout.split() == [expected], other.stderr


def test_damaged_streams_are_refused(
    codec: LearnedCodec, photograph: np.ndarray
) -> None:
    data = codec.compress(photograph[:64, :64])
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(damaged))
    for end in (0, 3, 20, len(data) - 1):
        with pytest.raises(BitstreamError):
            codec.decompress(data[:end])


def test_drifted_entropy_parameters_are_refused(
    codec: LearnedCodec, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec.model.hyper_synthesis is None:
        return  # nothing is computed that could drift
    data = codec.compress(photograph[:64, :64])
    # Without means, only a drift that reaches another table index matters.
    has_means = codec.model.spec.entropy_model.name != "scale_hyperprior"
    parameters = CompiledGaussianStep.parameters

    def drifted(self: CompiledGaussianStep, features: Any, y_hat: Any) -> Any:
        found = parameters(self, features, y_hat)
        if has_means:
            return found._replace(mean=found.mean + 2.0**-16)
        return found._replace(table_index=found.table_index + 1)

    monkeypatch.setattr(CompiledGaussianStep, "parameters", drifted)
    with pytest.raises(BitstreamError, match="computes the entropy parameters"):
        codec.decompress(data)


def test_sizes_over_the_limit_are_refused(codec: LearnedCodec, model_dir: Path) -> None:
    """Padding counts: a stream of one row would be padded to a whole block."""
    multiple = codec.model.spec.padding_multiple_px
    strict = LearnedCodec.load(model_dir, max_pixels=multiple**2)
    x = np.zeros((1, multiple + 1, 3), np.uint8)
    assert strict.decompress(strict.compress(x[:, :-1])).shape == (1, multiple, 3)
    with pytest.raises(DataError, match="setting max_pixels"):
        strict.compress(x)
    with pytest.raises(BitstreamError, match="setting max_pixels"):
        strict.decompress(codec.compress(x))


def test_foreign_arrays_are_refused(codec: LearnedCodec) -> None:
    for x in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3))):
        with pytest.raises(DataError, match="uint8"):
            codec.compress(x)


def test_a_stream_of_another_model_is_refused(tmp_path: Path) -> None:
    spec = COVERING["conv-factorized-None"]
    codecs = []
    for seed in (0, 1):
        export(build(spec, seed=seed), tmp_path / str(seed), {}, POINTS)
        codecs.append(LearnedCodec.load(tmp_path / str(seed)))
    data = codecs[0].compress(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(BitstreamError, match="model that wrote it"):
        codecs[1].decompress(data)


@pytest.fixture(scope="module")
def small(small_model_dir: Path) -> LearnedCodec:
    return LearnedCodec.load(small_model_dir)


def test_rates_that_the_model_does_not_have(small: LearnedCodec) -> None:
    x = np.zeros((16, 16, 3), np.uint8)
    for point in ({"rate": 1}, {"rate": -1}, {"effort": 4}):
        with pytest.raises(ConfigError, match=r"rates 0 to 0|effort is 0"):
            small.encode(x, **point)
    header, payload = unpack(small.encode(x))
    assert header.rate == 0
    with pytest.raises(BitstreamError, match="rates go from 0 to 0; got 1"):
        small.decode(pack(replace(header, rate=1), payload))


def test_steps_of_equal_networks_share_one_program() -> None:
    """CHARM's steps differ in their support, until that is complete."""
    model = build(COVERING["elic-charm-swint"], seed=3)
    steps = model.spec.entropy_model
    codec = LearnedCodec.of(model)
    before = programs.parameters._cache_size()
    codec.encode(np.zeros((64, 320, 3), np.uint8))  # of no other test
    compiled = programs.parameters._cache_size() - before
    assert steps.num_slices == 4
    assert compiled == steps.max_support_slices + 1 == 3


@pytest.mark.parametrize("name", COVERING)
def test_weights_in_memory(name: str, photograph: np.ndarray) -> None:
    """Streams are of the weights: others have another identity."""
    model = build(COVERING[name], seed=1)
    codec = LearnedCodec.of(model, numerics="native")
    x = photograph[:64, :64]
    header, payload = unpack(codec.encode(x))
    assert header.model_id.hex() == codec.codec_id
    assert payload
    assert codec.decode(codec.encode(x)).shape == x.shape
    assert codec.codec_id == LearnedCodec.of(model).codec_id
    other = LearnedCodec.of(build(COVERING[name], seed=2))
    assert codec.codec_id != other.codec_id


def test_the_cost_is_what_is_counted(small: LearnedCodec) -> None:
    assert small.cost(64, 128) == count(small.model.spec, 64, 128)
