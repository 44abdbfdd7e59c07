"""Bitstreams of every family: sizes, damage, other models, other processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, Codec
from rdc.codec.container import unpack
from rdc.codec.exported import export
from rdc.codec.networks import CompiledSlice
from rdc.data.images import read_image
from rdc.errors import ConfigError, DataError, StorageError
from tests.architectures import COVERING
from tests.elsewhere import ANOTHER_DEVICE, decode_elsewhere, hash_of

SIZES = [(1, 1), (17, 33), (64, 64), (65, 130)]


@pytest.fixture(scope="module")
def photograph(shared_data: Path) -> np.ndarray:
    return read_image(shared_data / "kodak/kodim23.png")[100:300, 200:420]


@pytest.fixture(scope="module", params=COVERING)
def model_dir(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An exported model of random weights, made to put out lively latents."""
    model = build(COVERING[request.param], seed=1)
    for layer in model.analysis_transform.layers[-2:]:
        for part in (layer, getattr(layer, "dense", None)):
            if hasattr(part, "kernel"):
                part.kernel.set_value(part.kernel[...] * 20)
    folder = tmp_path_factory.mktemp("model")
    export(model, folder, provenance={})
    return folder


@pytest.fixture(scope="module", params=["native", "exact"])
def codec(request: pytest.FixtureRequest, model_dir: Path) -> Codec:
    return Codec.load(model_dir, arithmetic=request.param)


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(codec: Codec, photograph: np.ndarray, size: tuple) -> None:
    x = photograph[: size[0], : size[1]]
    encoded = codec.encode(x)
    decoded = codec.decode(encoded.data)
    assert decoded.x_hat.shape == x.shape
    assert decoded.x_hat.dtype == np.uint8
    np.testing.assert_array_equal(decoded.y_hat, encoded.y_hat)


def test_latents_are_lively(codec: Codec, photograph: np.ndarray) -> None:
    """The other tests would prove little on streams of zeros."""
    assert len(np.unique(np.rint(codec.encode(photograph).y_hat))) > 3


def test_coded_bits_meet_the_estimate(codec: Codec, photograph: np.ndarray) -> None:
    encoded = codec.encode(photograph)
    # Header, checksums, and the rounding of scales to tables.
    assert 8 * len(encoded.data) < 1.02 * encoded.bits_estimated + 8 * 64


def test_other_processes_decode_the_same(
    codec: Codec, model_dir: Path, photograph: np.ndarray, tmp_path: Path
) -> None:
    """To the bit, on other threads and other devices too where arithmetic is exact;
    native streams are equal or refused there."""
    encoded = codec.encode(photograph)
    stream = tmp_path / "image.rdc"
    stream.write_bytes(encoded.data)
    expected = hash_of(encoded.y_hat)
    cores = os.sched_getaffinity(0)
    exact = unpack(encoded.data)[0].arithmetic_id == 1
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


def test_damaged_streams_are_refused(codec: Codec, photograph: np.ndarray) -> None:
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
    codec: Codec, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec.model.hyper_synthesis is None:
        return  # nothing is computed that could drift
    data = codec.compress(photograph[:64, :64])
    # Without means, only a drift that reaches another table index matters.
    has_means = codec.model.slices[0].mean_features is not None
    parameters = CompiledSlice.entropy_parameters

    def drifted(self: CompiledSlice, features: Any, support: tuple) -> Any:
        mean, index, mean_input = parameters(self, features, support)
        return mean + 2.0**-16, index if has_means else index + 1, mean_input

    monkeypatch.setattr(CompiledSlice, "entropy_parameters", drifted)
    with pytest.raises(BitstreamError, match="computes the entropy parameters"):
        codec.decompress(data)


def test_sizes_over_the_limit_are_refused(codec: Codec, model_dir: Path) -> None:
    """Padding counts: a stream of one row would be padded to a whole block."""
    multiple = codec.model.spec.padding_multiple_px
    strict = Codec.load(model_dir, max_pixels=multiple**2)
    x = np.zeros((1, multiple + 1, 3), np.uint8)
    assert strict.decompress(strict.compress(x[:, :-1])).shape == (1, multiple, 3)
    with pytest.raises(DataError, match="--max-pixels"):
        strict.compress(x)
    with pytest.raises(BitstreamError, match="--max-pixels"):
        strict.decompress(codec.compress(x))


def test_foreign_arrays_are_refused(codec: Codec) -> None:
    for x in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3))):
        with pytest.raises(DataError, match="uint8"):
            codec.compress(x)


def test_a_stream_of_another_model_is_refused(tmp_path: Path) -> None:
    spec = COVERING["conv-factorized-None"]
    codecs = []
    for seed in (0, 1):
        export(build(spec, seed=seed), tmp_path / str(seed), provenance={})
        codecs.append(Codec.load(tmp_path / str(seed)))
    data = codecs[0].compress(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(BitstreamError, match="model that wrote it"):
        codecs[1].decompress(data)


def test_model_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a model is a folder"):
        Codec.load(tmp_path)
    spec = COVERING["conv-factorized-None"]
    exported = export(build(spec, seed=0), tmp_path / "model", provenance={"a": 1})
    again = export(build(spec, seed=0), tmp_path / "again", provenance={"b": 2})
    assert exported.identity == again.identity  # provenance is no part of it
    weights = tmp_path / "model/weights.npz"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(StorageError, match="checksum"):
        Codec.load(tmp_path / "model")


def test_bfloat16_weights_are_half_the_size(
    tmp_path: Path, photograph: np.ndarray
) -> None:
    model = build(COVERING["elic-mean_scale_hyperprior-conv"], seed=0)
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        export(model, tmp_path / dtype, {}, weights_dtype=dtype)
        sizes[dtype] = (tmp_path / dtype / "weights.npz").stat().st_size
    assert sizes["bfloat16"] < 0.65 * sizes["float32"]
    codec = Codec.load(tmp_path / "bfloat16")
    x = photograph[:64, :64]
    assert codec.decompress(codec.compress(x)).shape == x.shape
