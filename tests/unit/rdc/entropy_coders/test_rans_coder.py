"""The coder of many lanes, beside the laws of all coders (`test_laws.py`)."""

from __future__ import annotations

import hashlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rdc.entropy_coders import escape
from rdc.entropy_coders.coders import Decoder
from rdc.entropy_coders.rans_coder import (
    LANE_SHARE,
    MAX_LANES,
    RansCoder,
    RansDecoder,
    RansStream,
    lanes_for,
)
from rdc.entropy_coders.rans_device import DeviceDecoder, symbols_of
from rdc.entropy_coders.rans_tables import rans_tables
from rdc.entropy_coders.tables import CdfTables, tables_from_pmfs
from rdc.errors import BitstreamError
from tests.unit.rdc.entropy_coders.reference_decoder import ReferenceRansDecoder
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, ideal_bits, latents

CODER = RansCoder()
DECODERS = [RansDecoder, DeviceDecoder]


def encode(*portions: tuple[np.ndarray, np.ndarray]) -> bytes:
    encoder = CODER.encoder()
    for symbols, table_index in portions:
        encoder.put(symbols, table_index, GAUSSIAN)
    return encoder.finish()


def decode(decoder: Decoder, table_index: np.ndarray) -> np.ndarray:
    symbols = decoder.get(table_index, GAUSSIAN)
    decoder.finish()
    return symbols


def test_streams_do_not_change() -> None:
    # Written down once: a change of these bytes breaks every file out there.
    number = np.arange(20_000)
    index = number * 7919 % 64
    symbols = (number * number * 40_503 % 65_537 % (2 * index + 3) - index).astype("i4")
    symbols[:4] = [2**31 - 1, -(2**31), 70_000, -300]
    stream = encode((symbols, index))
    assert stream[0] == 4
    assert hashlib.sha256(stream).hexdigest() == (
        "abba38075bffc749db6cff3ca70ba81d1da9fec57c917f9a5162c92fd332685c"
    )


@pytest.mark.parametrize("level", [0, 12, 45])
def test_a_second_implementation_reads_the_streams(level: float) -> None:
    first, second = latents(3, 8000, level), latents(4, 101, level)
    first[0][:6] = [2**31 - 1, -(2**31), 70_000, -300, 40, -40]
    decoder = ReferenceRansDecoder(encode(first, second))
    assert len(decoder.states) == {0: 1, 12: 1, 45: 4}[level]
    tables = [frequencies.tolist() for frequencies in GAUSSIAN.split()]
    for symbols, index in (first, second):
        decoded = decoder.decode_portion(
            index.tolist(), tables, GAUSSIAN.offsets.tolist()
        )
        assert decoded == symbols.tolist()
    assert decoder.is_at_end


def test_lanes_cost_little() -> None:
    assert [lanes_for(size) for size in (0, 1, 2666, 2667, 5334)] == [1, 1, 1, 2, 4]
    assert lanes_for(1e12) == MAX_LANES
    for size in np.geomspace(2667, 1e7, 50):
        assert 0.5 * LANE_SHARE < 4 * lanes_for(size) / size <= LANE_SHARE or (
            lanes_for(size) == MAX_LANES
        )


@pytest.mark.parametrize("level", [2, 24])
def test_a_file_is_at_most_half_a_per_cent_larger_than_ideal(level: float) -> None:
    """Of all its bytes, those of its lanes included; as large as Kodak's y."""
    symbols, index = latents(5, 491_520, level)
    stream = encode((symbols, index))
    assert stream[0] >= 4
    assert 8 * len(stream) <= 1.0035 * ideal_bits(symbols, index, GAUSSIAN)


@pytest.mark.parametrize("kind", DECODERS)
def test_streams_that_were_cut_are_refused(kind: type[Decoder]) -> None:
    symbols, index = latents(6, 1000, 30)
    stream = encode((symbols, index))
    for end in (0, 1, 3, 4, 5, 6, 7, 8, len(stream) // 2, len(stream) - 1):
        with pytest.raises(BitstreamError):
            decode(kind(stream[:end]), index)
    np.testing.assert_array_equal(decode(kind(stream), index), symbols)


def test_heads_that_lie() -> None:
    stream = encode(latents(7, 1000))
    for head in (bytes([13]), b"\xff", bytes([12])):
        with pytest.raises(BitstreamError, match=r"1 to 4096 lanes"):
            RansStream.parsed(head + stream[1:])
    with pytest.raises(BitstreamError, match=r"2\^24 or more"):
        RansStream.parsed(b"\x00\xff\xff\xff\x00" + stream[5:])


@pytest.mark.parametrize("kind", DECODERS)
def test_a_symbol_that_no_encoder_wrote_is_refused(kind: type[Decoder]) -> None:
    """Exponent 32 with all bits set: a symbol of 33 bits."""
    encoder = CODER.encoder()
    index = np.zeros(40, np.int32)
    encoder.put(np.full(40, 2**31 - 1, np.int32), index, GAUSSIAN)
    starts, frequencies = encoder._portions[1]
    assert (frequencies[0] == 1).all()  # an exponent of 31 or 32
    starts[0] = 2**16 - 1
    starts[1:], frequencies[1:] = 2**16 - 1, 1
    with pytest.raises(BitstreamError, match="32 bits; got a larger one"):
        decode(kind(encoder.finish()), index)


SYMBOLS_OF = jax.jit(symbols_of)
LIMITS = hnp.arrays(np.int32, 30, elements=st.integers(-(2**20), 2**20))


@settings(deadline=None)
@given(
    hnp.arrays(np.uint32, 30, elements=st.integers(0, 32)),
    hnp.arrays(np.uint64, 30, elements=st.integers(0, 2**32 - 1)),
    LIMITS,
    hnp.arrays(np.int32, 30, elements=st.integers(1, 4000)),
)
def test_escaped_symbols_in_32_bits(
    exponent: np.ndarray, bits: np.ndarray, first: np.ndarray, size: np.ndarray
) -> None:
    """As with 64 bits, or known not to fit."""
    remainder = bits % (np.uint64(1) << exponent)
    limits = first, first + size
    found, fits = SYMBOLS_OF(exponent, remainder.astype(np.uint32), *limits)
    value = (1 << exponent.astype(np.int64)) + remainder.astype(np.int64) - 1
    for i in range(30):
        one = slice(i, i + 1)
        try:
            symbol = escape.from_value(value[one], first[one], (first + size)[one])
        except BitstreamError:
            assert not fits[i]
        else:
            assert fits[i]
            assert found[i] == symbol


@pytest.mark.parametrize(("count", "search_bits"), [(64, 0), (65, 1), (322, 3)])
def test_entries_are_looked_up(count: int, search_bits: int) -> None:
    random = np.random.default_rng(count)
    pmfs = [random.dirichlet(np.full(9, 0.2)) * 0.999 for _ in range(count)]
    tables = rans_tables(tables_from_pmfs(pmfs, [0] * count))
    assert tables.search_bits == search_bits
    assert tables.lookup.size <= 66 << 16
    keys = np.arange((count + 2) << 16, dtype=np.uint32)
    expected = np.repeat(np.arange(tables.frequencies.size), tables.frequencies)
    entries = tables.lookup[keys >> search_bits]
    for step in (4, 2, 1)[3 - search_bits :]:
        entries = entries + step * (keys > tables.ends[entries + step - 1])
    np.testing.assert_array_equal(entries, expected)


def test_too_many_tables() -> None:
    count = 2**16 - 1
    many = CdfTables(
        np.full(2 * count, 2**15, np.uint16),
        np.full(count, 2, np.int32),
        np.zeros(count, np.int32),
    )
    with pytest.raises(ValueError, match="65534 tables"):
        rans_tables(many)
