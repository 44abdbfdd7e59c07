"""Laws of every entropy coder of this process: one table, the same tests.

A coder of `CODERS` that runs in no program of its own is held to them without a
further line; `rans` twice, with its decoder in NumPy and the one for devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rdc.entropy_coders.coders import CODERS, Decoder, coder_by_name
from rdc.entropy_coders.rans_device import DeviceDecoder
from rdc.entropy_coders.tables import tables_from_pmfs
from rdc.errors import BitstreamError, ConfigError
from tests.unit.rdc.entropy_coders import round_trips
from tests.unit.rdc.entropy_coders.round_trips import Portion
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, damage, ideal_bits, latents

INT32 = st.integers(-(2**31), 2**31 - 1)
PRIOR = tables_from_pmfs([np.full(9, 0.1)] * 300, [-4] * 300)


@dataclass(frozen=True)
class Pair:
    """A coder and one of the decoders of its streams.

    Attributes:
      excess: of its bits over the ideal ones, in long streams.
      is_compiled: for each size of a portion.
    """

    coder: str
    decoder: Callable[[bytes], Decoder]
    excess: float
    is_compiled: bool = False

    def encode(self, *portions: Portion) -> bytes:
        return round_trips.encode(CODERS[self.coder], *portions)

    def assert_round_trip(self, *portions: Portion) -> bytes:
        coder = CODERS[self.coder]
        return round_trips.assert_round_trip(coder, self.decoder, *portions)

    def decode(self, stream: bytes, table_index: np.ndarray) -> np.ndarray:
        """One portion of the Gaussian tables."""
        decoder = self.decoder(stream)
        symbols = decoder.get(table_index, GAUSSIAN)
        decoder.finish()
        return symbols


EXCESS = {"range": 0.001, "rans": 0.004}
PAIRS = {
    name: Pair(name, coder.decoder, EXCESS[name])
    for name, coder in CODERS.items()
    if not coder.is_external
}
PAIRS["rans on a device"] = Pair("rans", DeviceDecoder, EXCESS["rans"], True)


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]


@pytest.mark.parametrize("name", [n for n, p in PAIRS.items() if not p.is_compiled])
@given(data=st.data())
def test_any_symbols_of_any_tables(name: str, data: st.DataObject) -> None:
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
    PAIRS[name].assert_round_trip((symbols, index, tables))


@pytest.mark.parametrize("name", PAIRS)
@settings(deadline=None)
@given(data=st.data())
def test_any_symbols_of_gaussian_tables(name: str, data: st.DataObject) -> None:
    """Of one size, so that what is compiled is compiled once."""
    symbol = st.one_of(st.integers(-40, 40), INT32)
    symbols = data.draw(hnp.arrays(np.int32, 40, elements=symbol))
    index = data.draw(hnp.arrays(np.int32, 40, elements=st.integers(0, 63)))
    PAIRS[name].assert_round_trip((symbols, index, GAUSSIAN))


def test_portions_with_different_tables(pair: Pair) -> None:
    z = np.random.default_rng(0).integers(-6, 7, 300 * 6).astype(np.int32)
    portions: list[Portion] = [(z, np.tile(np.arange(300), 6), PRIOR)]
    portions += [(*latents(seed, 1000), GAUSSIAN) for seed in range(10)]
    pair.assert_round_trip(*portions)


@pytest.mark.parametrize("level", [-10, 10, 30, 60])
def test_bits_are_nearly_ideal(pair: Pair, level: float) -> None:
    symbols, index = latents(1, 80_000, level)
    stream = pair.assert_round_trip((symbols, index, GAUSSIAN))
    ideal = ideal_bits(symbols, index, GAUSSIAN)
    assert 8 * len(stream) <= (1 + pair.excess) * ideal + 64


def test_bits_are_nearly_ideal_with_many_escapes(pair: Pair) -> None:
    random = np.random.default_rng(2)
    symbols = np.rint(random.standard_cauchy(50_000) * 3).astype(np.int32)
    index = random.integers(0, 20, symbols.size)
    stream = pair.assert_round_trip((symbols, index, GAUSSIAN))
    ideal = ideal_bits(symbols, index, GAUSSIAN)
    assert 8 * len(stream) <= (1 + pair.excess) * ideal + 64


def test_extreme_symbols(pair: Pair) -> None:
    symbols = np.array([2**31 - 1, -(2**31), 0, 2**30, -1], np.int32)
    for table in (0, 20, 63):
        pair.assert_round_trip((symbols, np.full(5, table), GAUSSIAN))


def test_nothing_takes_no_bytes(pair: Pair) -> None:
    nothing = np.zeros(0, np.int32)
    assert pair.assert_round_trip((nothing, nothing, GAUSSIAN)) == b""
    pair.assert_round_trip((nothing, nothing, GAUSSIAN), (*latents(0, 5), GAUSSIAN))


def test_a_longer_stream_is_refused(pair: Pair) -> None:
    symbols, index = latents(5, 1000)
    stream = pair.encode((symbols, index, GAUSSIAN))
    decoder = pair.decoder(stream + b"\x01\x02\x03\x04" * 3)
    decoder.get(index, GAUSSIAN)
    with pytest.raises(BitstreamError, match="ends with its last symbol"):
        decoder.finish()


def test_damage_ends(pair: Pair) -> None:
    """In the right symbols, in others, or in one kind of error."""
    count, refused = 400, 0
    trials = 3000 if pair.coder == "range" else 100 if pair.is_compiled else 400
    indices = [latents(seed, count)[1] for seed in range(8)]
    streams = [
        pair.encode((*latents(seed, count), GAUSSIAN)) for seed in range(len(indices))
    ]
    random = np.random.default_rng(1)
    for trial in range(trials):
        one, other = streams[trial % 8], streams[(trial + 1) % 8]
        damaged = damage(one, other, random)
        try:
            damaged = damaged[: len(damaged) // 4 * 4]
            symbols = pair.decode(damaged, indices[trial % 8])
        except BitstreamError:
            refused += 1
        else:
            assert symbols.shape == (count,)
    assert refused > 0.8 * trials  # most damage shows even without a checksum


@pytest.mark.parametrize("filler", [b"\x00", b"\xff", b"\xaa", b"\x01"])
def test_constant_bytes_are_refused(pair: Pair, filler: bytes) -> None:
    with pytest.raises(BitstreamError):
        pair.decode(filler * 4000, latents(0, 400)[1])


@pytest.mark.parametrize("index", [[-1], [64], [[0]]])
def test_impossible_tables_are_an_error_of_the_caller(pair: Pair, index: list) -> None:
    array = np.array(index)
    with pytest.raises(ValueError, match="table indices"):
        CODERS[pair.coder].encoder().put(np.zeros(array.shape, int), array, GAUSSIAN)
    decoder = pair.decoder(pair.encode((*latents(0, 5), GAUSSIAN)))
    with pytest.raises(ValueError, match="table indices"):
        decoder.get(array, GAUSSIAN)


@pytest.mark.parametrize("count", [1, 7, 64, 1000])
@pytest.mark.parametrize("top", [0.5, 0.9, 0.999, 1 - 1e-6])
@pytest.mark.parametrize("name", EXCESS)
def test_no_stream_is_shorter_than_its_least_bits(
    name: str, count: int, top: float
) -> None:
    """Of the cheapest symbols that there are; and the bound is near to that."""
    pair = PAIRS[name]
    rest = (1 - top) / 2
    tables = tables_from_pmfs([[rest, top, rest], [top, 1 - top]], [-1, 5], 1e-9)
    index = np.repeat(np.arange(2, dtype=np.int32), count)
    cheapest = np.where(index == 0, 0, 5).astype(np.int32)
    stream = pair.assert_round_trip((cheapest, index, tables))
    least = CODERS[pair.coder].least_bits(count, tables)
    assert least <= 8 * len(stream) <= 1.02 * least + 2 * 64
    costly = np.where(index == 0, 1, 6).astype(np.int32)
    assert least <= 8 * len(pair.assert_round_trip((costly, index, tables)))


def test_lookup_of_coders() -> None:
    for name, coder in CODERS.items():
        assert coder_by_name(name) is coder
        assert coder.name == name
    with pytest.raises(ConfigError, match="range, tfc, rans"):
        coder_by_name("zip")
