"""Thousands of damaged containers; files: `test_damaged_files.py`, coders: laws."""

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
