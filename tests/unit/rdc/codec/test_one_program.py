"""The decoder as one program of a device: as the codec decodes, or not at all."""

from __future__ import annotations

import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import BitstreamError, LearnedCodec
from rdc.codec.container import pack, unpack
from rdc.codec.device_checksum import crc32
from rdc.codec.one_program import OneProgram
from rdc.codec.symbols import PARITY_BYTES
from rdc.data.images import read_image
from tests.architectures import small
from tests.unit.rdc.entropy_coders.samples import damage

SPECS = {
    "factorized": small("conv", "factorized", None),
    "hyperprior": small("conv", "mean_scale_hyperprior", "conv"),
    "charm2020": small("conv", "charm2020", "conv"),
    "charm": small("conv", "charm", "conv"),
}
# On CPU, sums of its depthwise convolutions round otherwise in a larger program.
SPATIAL = small("conv", "dual_spatial_prior", "conv")


@pytest.fixture(scope="module")
def x(photographs: dict[str, list[Path]]) -> np.ndarray:
    return read_image(photographs["eval"][0])[
        50:178, 100:228
    ]  # a canvas, as the program has it


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each program that ran computed what the encoder did."""
    found: list[bool] = []
    decode = OneProgram.decode

    def spy(self: OneProgram, *arguments) -> np.ndarray | None:
        pixels = decode(self, *arguments)
        found.append(pixels is not None)
        return pixels

    monkeypatch.setattr(OneProgram, "decode", spy)
    return found


def codec_of(name: str) -> LearnedCodec:
    """Of random weights whose latents are not all zero."""
    model = build(SPECS.get(name, SPATIAL), seed=1)
    kernel = model.analysis_transform.layers[-1].kernel
    kernel.set_value(kernel[...] * 200)
    return LearnedCodec.of(model, coder="rans", numerics="native")


@pytest.mark.parametrize("count", [1, 2, 3, 31, 1024, 5001])
def test_checksums_are_zlibs(count: int) -> None:
    words = np.random.default_rng(count).integers(0, 2**32, count, dtype=np.uint32)
    assert int(jax.jit(crc32)(words)) == zlib.crc32(words.tobytes())


@pytest.mark.parametrize("name", SPECS)
def test_it_decodes_what_the_codec_decodes(
    name: str, x: np.ndarray, tried: list[bool]
) -> None:
    """From the same checksums of every step, so to the same latents."""
    codec = codec_of(name)
    data = codec.encode(x)
    decoded = codec.decoded(data)
    assert decoded.y_hat is not None
    assert len(np.unique(np.rint(decoded.y_hat))) > 3
    difference = codec.decode_on_device(data).astype(int) - decoded.x_hat
    assert np.abs(difference).max() <= 1  # rounding of the synthesis: other fusions
    assert tried == [True]


def test_a_spatial_prior_is_decoded_in_one_program_or_the_usual_way(
    x: np.ndarray, tried: list[bool]
) -> None:
    codec = codec_of("spatial")
    data = codec.encode(x)
    difference = codec.decode_on_device(data).astype(int) - codec.decode(data)
    assert np.abs(difference).max() <= 1
    assert len(tried) == 1


@pytest.mark.parametrize("rate", [0, 2.5])
def test_one_program_serves_all_rates(
    rate: float, x: np.ndarray, tried: list[bool]
) -> None:
    codec = LearnedCodec.load("light", coder="rans", numerics="native")
    data = codec.encode(x, rate)
    difference = codec.decode_on_device(data).astype(int) - codec.decode(data)
    assert np.abs(difference).max() <= 1
    assert tried == [True]


def test_where_a_device_rounds_otherwise_the_codec_decodes(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = codec_of("hyperprior")
    data = codec.encode(x)
    monkeypatch.setattr(OneProgram, "decode", lambda *_: None)
    np.testing.assert_array_equal(codec.decode_on_device(data), codec.decode(data))


def test_parameters_of_another_device_are_refused(
    x: np.ndarray, tried: list[bool]
) -> None:
    codec = codec_of("charm")
    header, payload = unpack(codec.encode(x))
    for step in range(len(codec.model.steps)):
        changed = bytearray(payload)
        changed[PARITY_BYTES * step] ^= 1
        with pytest.raises(BitstreamError, match=f"coding step {step}"):
            codec.decode_on_device(pack(header, bytes(changed)))
    assert set(tried) == {False}


def test_damaged_symbols_end(x: np.ndarray) -> None:
    codec = codec_of("charm")
    random = np.random.default_rng(0)
    files = [codec.encode(image) for image in (x, 255 - x)]
    refused, trials = 0, 30
    for trial in range(trials):
        header, payload = unpack(files[trial % 2])
        changed = damage(payload, unpack(files[1 - trial % 2])[1], random)
        try:
            decoded = codec.decode_on_device(pack(header, changed))
        except BitstreamError:
            refused += 1
        else:
            assert decoded.shape == x.shape
    assert refused > 0.8 * trials


@pytest.mark.parametrize("settings", [{"coder": "range"}, {"numerics": "exact"}])
def test_streams_of_another_kind_are_refused(
    settings: dict[str, str], x: np.ndarray
) -> None:
    model = build(SPECS["factorized"], seed=1)
    codec = LearnedCodec.of(
        model, **{"coder": "rans", "numerics": "native", **settings}
    )
    with pytest.raises(BitstreamError, match=r"coder rans, native; got .*usual way"):
        codec.decode_on_device(codec.encode(x))
