"""Streams that would take more memory than they are worth are refused at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rdc.architectures import NAMED, resolve
from rdc.codec import BitstreamError, LearnedCodec
from rdc.codec.container import NUMERICS_IDS, Header, pack, unpack
from rdc.codec.limits import DEFAULT_MEMORY_BYTES, PixelLimit
from rdc.complexity import count
from rdc.entropy_coders.range_coder import RangeEncoder
from rdc.errors import ConfigError, DataError

SIDE_PX = 12_000


def lying(codec: LearnedCodec, numerics: str = "exact", stream: bytes = b"") -> bytes:
    """A header of 12000 x 12000 pixels before next to nothing: 28 bytes with it."""
    header = Header(
        model_id=bytes.fromhex(codec.codec_id),
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        numerics_id=NUMERICS_IDS[numerics],
    )
    return pack(header, bytes(2) + stream)


@pytest.fixture
def networks_that_must_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is decoded before the refusal is a failure."""

    def run(*_: object) -> None:
        raise AssertionError("something was decoded")

    monkeypatch.setattr("rdc.codec.networks.CompiledNetworks.run", run)
    monkeypatch.setattr("rdc.entropy_coders.range_coder.RangeDecoder.get", run)


@pytest.mark.usefixtures("networks_that_must_not_run")
def test_a_stream_of_a_few_bytes_does_not_get_gigabytes() -> None:
    codec = LearnedCodec.load("light")
    data = lying(codec)
    assert len(data) <= 28
    with pytest.raises(BitstreamError, match=r"2 GiB to decode; .* 12000 x 12000"):
        codec.decode(data)


@pytest.mark.usefixtures("networks_that_must_not_run")
@pytest.mark.parametrize("numerics", NUMERICS_IDS)
def test_a_stream_too_short_for_its_size_is_refused_where_memory_is_allowed(
    numerics: str,
) -> None:
    codec = LearnedCodec.load(max_pixels=2**28)
    for stream in (b"", bytes(4), b"\x55" * 40):
        with pytest.raises(BitstreamError, match="12000 x 12000 pixels has at least"):
            codec.decode(lying(codec, numerics, stream))


def test_the_least_that_an_encoder_writes_is_not_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A picture of one colour: as few bits as there are."""
    codec = LearnedCodec.load()
    for x in (np.zeros((256, 256, 3), np.uint8), np.full((64, 320, 3), 128, np.uint8)):
        data = codec.encode(x)
        assert codec.decode(data).shape == x.shape
    # Of z alone, and every one its commonest value.
    prior = codec._exported.prior(0)
    commonest = np.array([f[:-1].argmax() for f in prior.split()]) + prior.offsets
    encoder = RangeEncoder()
    positions = 50
    symbols = np.tile(commonest.astype(np.int32), positions)
    index = np.tile(np.arange(len(prior), dtype=np.int32), positions)
    encoder.put(symbols, index, prior)
    least = codec._coder.least_bits(positions, prior)
    assert 0 < least <= 8 * len(encoder.finish())


def test_the_default_is_a_limit_of_bytes() -> None:
    """Costlier networks, smaller images; what the networks need fits 2 GiB."""
    limits = []
    for name in ("light", "rdc_a"):
        peak = count(name).decoder_peak_bytes_per_px
        limit = PixelLimit(NAMED[name], peak)
        assert 0.5 < limit.pixels * peak / DEFAULT_MEMORY_BYTES < 1
        limits.append(limit)
    light, costly = limits
    light.check_stream(3000, 3500)
    light.check_image(3000, 3500)
    assert costly.pixels < light.pixels
    for check, error in (
        (costly.check_stream, BitstreamError),
        (costly.check_image, DataError),
    ):
        with pytest.raises(error, match=r"2 GiB to decode; .*setting max_pixels"):
            check(3000, 3500)


@pytest.mark.parametrize(("name", "side_px"), [("best", 8192), ("light", 7680)])
def test_with_tiles_an_image_is_larger_by_far(name: str, side_px: int) -> None:
    """Of the whole at once, `light` takes 11 million pixels."""
    limit = LearnedCodec.load(name)._limit
    limit.check_image(side_px, side_px)
    limit.check_stream(side_px, side_px)
    with pytest.raises(DataError, match=r"2 GiB to decode"):
        limit.check_image(10_000, 10_000)


def test_a_stated_limit_is_of_padded_pixels() -> None:
    limit = PixelLimit(resolve("light"), 144.0, max_pixels=64 * 128)
    assert limit.pixels == 64 * 128
    limit.check_stream(1, 65)
    limit.check_stream(64, 128)
    for sides in ((65, 65), (1, 129), (2**14, 2**14)):
        with pytest.raises(BitstreamError, match="at most 8192 pixels with padding"):
            limit.check_stream(*sides)
    with pytest.raises(ConfigError, match="max_pixels is positive"):
        PixelLimit(resolve("light"), 144.0, max_pixels=0)


def test_more_pixels_than_the_default_can_be_allowed(small_model_dir: Path) -> None:
    codec = LearnedCodec.load(small_model_dir, max_pixels=2**28)
    header, _ = unpack(codec.encode(np.zeros((8, 8, 3), np.uint8)))
    sides = [1 << i for i in range(10, 15)]
    sizes = []
    for height, width in pairwise(sides):
        larger = Header(model_id=header.model_id, height_px=height, width_px=width)
        with pytest.raises(BitstreamError, match=r"has at least \d+ bytes") as caught:
            codec.decode(pack(larger, bytes(2)))
        sizes.append(int(str(caught.value).split("at least ")[1].split()[0]))
    assert sizes == sorted(sizes)
    assert sizes[-1] > 50 * sizes[0] > 0
