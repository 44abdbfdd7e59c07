"""The default coder: exact round trips at nearly the ideal number of bits."""

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
from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.range_coder import PART_SYMBOLS, RangeCoder
from rdc.entropy_coders.tables import CdfTables, tables_from_pmfs
from rdc.errors import BitstreamError, ConfigError
from tests.unit.rdc.entropy_coders.reference_decoder import (
    ReferenceRangeDecoder,
    decode_portion,
)
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, ideal_bits, latents

CODER = RangeCoder()
INT32 = st.integers(-(2**31), 2**31 - 1)


def encode(*portions) -> bytes:
    encoder = CODER.encoder()
    for symbols, table_index, tables in portions:
        encoder.put(symbols, table_index, tables)
    return encoder.finish()


def assert_round_trip(*portions) -> bytes:
    stream = encode(*portions)
    decoder = CODER.decoder(stream)
    for symbols, table_index, tables in portions:
        decoded = decoder.get(table_index, tables)
        assert decoded.dtype == np.int32
        np.testing.assert_array_equal(decoded, symbols)
    decoder.finish()
    return stream


@given(st.data())
def test_any_symbols_of_any_tables(data):
    pmfs = data.draw(
        st.lists(
            hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-6, 1)),
            min_size=1,
            max_size=5,
        )
    )
    pmfs = [pmf / pmf.sum() * 0.999 for pmf in pmfs]
    offsets = data.draw(
        st.lists(st.integers(-1000, 1000), min_size=len(pmfs), max_size=len(pmfs))
    )
    tables = tables_from_pmfs(pmfs, offsets)
    symbol = st.one_of(st.integers(-40, 40), INT32)
    symbols = data.draw(hnp.arrays(np.int32, st.integers(0, 60), elements=symbol))
    index = data.draw(
        hnp.arrays(np.int64, symbols.size, elements=st.integers(0, len(pmfs) - 1))
    )
    assert_round_trip((symbols, index, tables))


def test_portions_with_different_tables():
    prior = tables_from_pmfs([np.full(9, 0.1)] * 300, [-4] * 300)
    z = np.random.default_rng(0).integers(-6, 7, 300 * 6).astype(np.int32)
    portions = [(z, np.tile(np.arange(300), 6), prior)]
    portions += [(*latents(seed, 1000), GAUSSIAN) for seed in range(10)]
    assert_round_trip(*portions)


@pytest.mark.parametrize("level", [-10, 10, 30, 60])
def test_bits_are_nearly_ideal(level):
    symbols, index = latents(1, 200_000, level)
    stream = assert_round_trip((symbols, index, GAUSSIAN))
    ideal = ideal_bits(symbols, index, GAUSSIAN)
    assert 8 * len(stream) <= 1.001 * ideal + 64


def test_bits_are_nearly_ideal_with_many_escapes():
    random = np.random.default_rng(2)
    symbols = np.rint(random.standard_cauchy(50_000) * 3).astype(np.int32)
    index = random.integers(0, 20, symbols.size)
    stream = assert_round_trip((symbols, index, GAUSSIAN))
    assert 8 * len(stream) <= 1.001 * ideal_bits(symbols, index, GAUSSIAN) + 64


def test_portions_are_coded_in_parts():
    symbols, index = latents(8, PART_SYMBOLS + 1000)
    symbols[[0, -1]] = 100_000
    whole = assert_round_trip((symbols, index, GAUSSIAN))
    cut = [slice(PART_SYMBOLS), slice(PART_SYMBOLS, None)]
    assert whole == encode(*((symbols[c], index[c], GAUSSIAN) for c in cut))


def test_extreme_symbols():
    symbols = np.array([2**31 - 1, -(2**31), 0, 2**30, -1], np.int32)
    for table in (0, 20, 63):
        assert_round_trip((symbols, np.full(5, table), GAUSSIAN))


def test_nothing_takes_no_bytes():
    nothing = np.zeros(0, np.int32)
    assert assert_round_trip((nothing, nothing, GAUSSIAN)) == b""
    assert_round_trip((nothing, nothing, GAUSSIAN), (*latents(0, 5), GAUSSIAN))


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


def test_a_longer_or_broken_stream_is_refused():
    symbols, index = latents(5, 1000)
    stream = encode((symbols, index, GAUSSIAN))
    decoder = CODER.decoder(stream + b"\x01\x02\x03\x04" * 3)
    decoder.get(index, GAUSSIAN)
    with pytest.raises(BitstreamError, match="more data"):
        decoder.finish()
    with pytest.raises(BitstreamError, match="whole number of words"):
        CODER.decoder(stream[:-1])


@pytest.mark.parametrize("index", [[-1], [64], [[0]]])
def test_impossible_tables_are_an_error_of_the_caller(index):
    with pytest.raises(ValueError, match="table indices"):
        CODER.encoder().put(np.zeros(np.shape(index), int), np.array(index), GAUSSIAN)


def test_lookup_of_coders():
    assert isinstance(coder_by_name("range"), RangeCoder)
    with pytest.raises(ConfigError, match="range, tfc"):
        coder_by_name("zip")


@pytest.mark.parametrize("count", [1, 7, 64, 1000])
@pytest.mark.parametrize("top", [0.5, 0.9, 0.999, 1 - 1e-6])
def test_no_stream_is_shorter_than_its_least_bits(count, top):
    """Of the cheapest symbols that there are; and the bound is near to that."""
    rest = (1 - top) / 2
    tables = tables_from_pmfs([[rest, top, rest], [top, 1 - top]], [-1, 5], 1e-9)
    index = np.repeat(np.arange(2, dtype=np.int32), count)
    cheapest = np.where(index == 0, 0, 5).astype(np.int32)
    stream = assert_round_trip((cheapest, index, tables))
    least = CODER.least_bits(count, tables)
    assert least <= 8 * len(stream) <= 1.01 * least + 2 * 64
    costly = np.where(index == 0, 1, 6).astype(np.int32)
    assert least <= 8 * len(assert_round_trip((costly, index, tables)))


def test_joined_symbols_may_cost_less_than_single_ones():
    """What the joint frequencies lack to their sum goes to the commonest block."""
    frequencies = np.array([65534, 1, 1], np.uint16)
    tables = CdfTables(frequencies, np.array([3], np.int32), np.array([0], np.int32))
    count = 100_000
    index = np.zeros(count, np.int32)
    stream = assert_round_trip((index, index, tables))
    assert CODER.least_bits(count, tables) <= 8 * len(stream)
