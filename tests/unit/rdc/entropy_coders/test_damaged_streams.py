"""Thousands of damaged containers and coded symbols; files: `test_damaged_files.py`."""

import numpy as np
import pytest

from rdc.codec.container import Header, pack, unpack
from rdc.entropy_coders.range_coder import RangeCoder
from rdc.errors import BitstreamError
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, damage, latents

CODER = RangeCoder()
COUNT = 400


def stream(seed: int) -> bytes:
    symbols, index = latents(seed, COUNT)
    encoder = CODER.encoder()
    encoder.put(symbols, index, GAUSSIAN)
    return encoder.finish()


def decode(data: bytes, index: np.ndarray) -> np.ndarray:
    decoder = CODER.decoder(data)
    symbols = decoder.get(index, GAUSSIAN)
    decoder.finish()
    return symbols


def test_containers_refuse_every_damage():
    random = np.random.default_rng(0)
    header = Header(model_id=bytes(8), height_px=512, width_px=768)
    files = [pack(header, stream(seed)) for seed in range(8)]
    refused = 0
    for trial in range(3000):
        data, other = files[trial % 8], files[(trial + 1) % 8]
        damaged = damage(data, other, random)
        if damaged in (data, other):
            continue
        with pytest.raises(BitstreamError):
            unpack(damaged)
        refused += 1
    assert refused > 2500


def test_the_coder_ends_on_any_bytes():
    random = np.random.default_rng(1)
    streams = [stream(seed) for seed in range(8)]
    refused = 0
    indices = [latents(seed, COUNT)[1] for seed in range(8)]
    for trial in range(3000):
        index = indices[trial % 8]
        damaged = damage(streams[trial % 8], streams[(trial + 1) % 8], random)
        try:
            symbols = decode(damaged[: len(damaged) // 4 * 4], index)
        except BitstreamError:
            refused += 1
        else:
            assert symbols.shape == (COUNT,)
    assert refused > 2400  # most damage shows even without a checksum


@pytest.mark.parametrize("filler", [b"\x00", b"\xff", b"\xaa"])
def test_the_coder_ends_on_constant_bytes(filler):
    with pytest.raises(BitstreamError):
        decode(filler * 4000, latents(0, COUNT)[1])
