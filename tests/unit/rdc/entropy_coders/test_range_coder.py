"""The default coder, beside the laws of all of them (`test_laws.py`)."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rdc.entropy_coders import escape
from rdc.entropy_coders.blocks import (
    MODEL_TOTAL,
    Model,
    block_length,
    joint_frequencies,
)
from rdc.entropy_coders.range_coder import PART_SYMBOLS, RangeCoder
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError
from tests.unit.rdc.entropy_coders import round_trips
from tests.unit.rdc.entropy_coders.reference_decoder import (
    ReferenceRangeDecoder,
    decode_portion,
)
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, latents

CODER = RangeCoder()
INT32 = st.integers(-(2**31), 2**31 - 1)


def encode(*portions) -> bytes:
    return round_trips.encode(CODER, *portions)


def assert_round_trip(*portions) -> bytes:
    return round_trips.assert_round_trip(CODER, CODER.decoder, *portions)


def test_portions_are_coded_in_parts():
    symbols, index = latents(8, PART_SYMBOLS + 1000)
    symbols[[0, -1]] = 100_000
    whole = assert_round_trip((symbols, index, GAUSSIAN))
    cut = [slice(PART_SYMBOLS), slice(PART_SYMBOLS, None)]
    assert whole == encode(*((symbols[c], index[c], GAUSSIAN) for c in cut))


def test_streams_do_not_change():
    # Written down once: a change of these bytes breaks every file out there.
    number = np.arange(20_000)
    index = number * 7919 % 64
    symbols = (number * number * 40_503 % 65_537 % (2 * index + 3) - index).astype("i4")
    symbols[:4] = [2**31 - 1, -(2**31), 70_000, -300]
    digest = hashlib.sha256(encode((symbols, index, GAUSSIAN))).hexdigest()
    assert digest == (
        "2886dbc75b91a52cc1a6ccfd3b0693d7f8d79d074389f27bf629053ebc095cff"
    )


@pytest.mark.parametrize("level", [0, 12, 45])
def test_a_second_implementation_reads_the_streams(level):
    first, second = latents(3, 300, level), latents(4, 101, level)
    first[0][:6] = [2**31 - 1, -(2**31), 70_000, -300, 40, -40]
    stream = encode((*first, GAUSSIAN), (*second, GAUSSIAN))
    decoder = ReferenceRangeDecoder(stream)
    tables = [frequencies.tolist() for frequencies in GAUSSIAN.split()]
    offsets = GAUSSIAN.offsets.tolist()
    for symbols, index in (first, second):
        decoded = decode_portion(decoder, index.tolist(), tables, offsets)
        assert decoded == symbols.tolist()


def test_models_hold_the_frequencies_exactly():
    # A range of 2^64 - 1 and a scale of 2^40 - 1: the first two words name a quantile.
    frequencies = np.array([1, 5, MODEL_TOTAL - 13, 1, 6])
    model = Model(frequencies)
    edges = np.cumsum(frequencies)
    for entry, (first, end) in enumerate(
        zip([0, *edges[:-1].tolist()], edges.tolist(), strict=True)
    ):
        for quantile in (first, end - 1):
            point = quantile * (2**40 - 1)
            stream = point.to_bytes(8, "big")
            words = np.frombuffer(stream, ">u4").astype("<u4").tobytes()
            decoder = CODER.decoder(words)
            assert decoder._decode(model, 1) == [entry]


@pytest.mark.parametrize("size", [2, 3, 4, 5, 16])
def test_joint_frequencies(size):
    length = block_length(size)
    frequencies = np.ones(size, np.int64)
    frequencies[size // 2] = 2**16 - size + 1
    joint = joint_frequencies(frequencies, length)
    assert joint.sum() == MODEL_TOTAL
    assert joint.min() >= 1
    assert joint.size == size**length


def test_blocks_are_short():
    assert [block_length(size) for size in (2, 3, 4, 5, 16, 17)] == [8, 4, 4, 2, 2, 1]


@given(hnp.arrays(np.int32, st.integers(1, 20), elements=INT32))
def test_escape_code(symbols):
    symbols = symbols[(symbols < -3) | (symbols >= 5)]
    value = escape.to_value(symbols, -3, 5)
    assert (value >= 0).all()
    exponent, remainder = escape.split(value)
    assert (exponent < escape.NUM_EXPONENTS).all()
    assert ((remainder >= 0) & (remainder < 2.0**exponent)).all()
    np.testing.assert_array_equal((1 << exponent.astype(int)) + remainder - 1, value)
    limits = np.full(symbols.size, -3), np.full(symbols.size, 5)
    np.testing.assert_array_equal(escape.from_value(value, *limits), symbols)


def test_a_broken_word_is_refused():
    stream = encode((*latents(5, 1000), GAUSSIAN))
    with pytest.raises(BitstreamError, match="whole number of words"):
        CODER.decoder(stream[:-1])


def test_joined_symbols_may_cost_less_than_single_ones():
    """What the joint frequencies lack to their sum goes to the commonest block."""
    frequencies = np.array([65534, 1, 1], np.uint16)
    tables = CdfTables(frequencies, np.array([3], np.int32), np.array([0], np.int32))
    count = 100_000
    index = np.zeros(count, np.int32)
    stream = assert_round_trip((index, index, tables))
    assert CODER.least_bits(count, tables) <= 8 * len(stream)
