"""The default coder: constriction's range coder, symbols grouped by table.

Each portion, in parts of at most 2^18 symbols, is coded table by table, in the order of
the tables; within a table in the order of the symbols. The escaped symbols of the part
follow. docs/format.md
states the format in full.
"""

from __future__ import annotations

from collections.abc import Iterator

import constriction
import numpy as np

from rdc.entropy_coders import escape
from rdc.entropy_coders.blocks import MODEL_TOTAL, BlockModel, Model, block_models
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError

_Encoder = constriction.stream.queue.RangeEncoder
_Decoder = constriction.stream.queue.RangeDecoder
_Uniform = constriction.stream.model.Uniform
_EXPONENTS = Model(escape.exponent_frequencies(MODEL_TOTAL))
PART_SYMBOLS = 1 << 18  # bounds the memory beside the symbols themselves
_LOW_BITS = 16  # remainders are coded as so many low bits, then the rest


class RangeCoder:
    """Streams of 32-bit words in little-endian order."""

    name = "range"
    is_external = False

    def encoder(self) -> RangeEncoder:
        return RangeEncoder()

    def decoder(self, stream: bytes) -> RangeDecoder:
        """Begins to decode `stream`.

        Raises:
          BitstreamError: its length is not a whole number of words.
        """
        return RangeDecoder(stream)

    def least_bits(self, count: int, tables: CdfTables) -> float:
        return count * sum(model.least_bits for model in block_models(tables))


class RangeEncoder:
    """See `rdc.entropy_coders.coders.Encoder`."""

    def __init__(self) -> None:
        self._encoder = _Encoder()

    def put(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        if symbols.shape != table_index.shape:
            raise ValueError(f"{symbols.shape} symbols, {table_index.shape} indices")
        for part in _parts(table_index):
            self._put_part(symbols[part], table_index[part], tables)

    def finish(self) -> bytes:
        return self._encoder.get_compressed().astype("<u4").tobytes()

    def _put_part(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        groups = _Groups(table_index, tables)
        sorted_symbols = np.asarray(symbols, np.int32)[groups.order]
        escaped = []
        for group, first, end, model in groups:
            entries = sorted_symbols[group]
            entries -= first
            # Entries below zero, or wrapped round, are large as unsigned numbers.
            unsigned = entries.view(np.uint32)
            if unsigned.max() >= end - first:
                outside = unsigned >= end - first
                escaped.append(escape.to_value(entries[outside] + first, first, end))
                entries[outside] = end - first
            self._put_entries(entries, model)
        if escaped:
            self._put_escaped(np.concatenate(escaped))

    def _put_entries(self, entries: np.ndarray, model: BlockModel) -> None:
        joined = entries.size - entries.size % model.length
        if model.length > 1 and joined:
            blocks = model.join(entries[:joined])
            self._encoder.encode(blocks, model.joint.encoding)
            entries = entries[joined:]
        if entries.size:
            self._encoder.encode(entries, model.single.encoding)

    def _put_escaped(self, value: np.ndarray) -> None:
        exponents, remainders = escape.split(value)
        self._encoder.encode(exponents, _EXPONENTS.encoding)
        for exponent in np.unique(exponents):
            remainder = remainders[exponents == exponent]
            for shift, bits in _limbs(int(exponent)):
                limb = (remainder >> shift) & ((1 << bits) - 1)
                self._encoder.encode(limb.astype(np.int32), _Uniform(1 << bits))


class RangeDecoder:
    """See `rdc.entropy_coders.coders.Decoder`."""

    def __init__(self, stream: bytes):
        if len(stream) % 4:
            raise BitstreamError(
                "a range coder's stream is a whole number of words",
                f"{len(stream)} bytes",
            )
        self._decoder = _Decoder(np.frombuffer(stream, "<u4").astype(np.uint32))

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        symbols = np.empty(table_index.size, np.int32)
        for part in _parts(table_index):
            self._get_part(symbols[part], table_index[part], tables)
        return symbols

    def finish(self) -> None:
        if not self._decoder.maybe_exhausted():
            raise BitstreamError("a stream ends with its last symbol", "more data")

    def _get_part(
        self, result: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        groups = _Groups(table_index, tables)
        symbols = np.empty(table_index.size, np.int32)
        escaped = []
        for group, first, end, model in groups:
            entries = self._get_entries(group.stop - group.start, model)
            outside = entries == end - first
            if outside.any():
                escaped.append(group.start + np.flatnonzero(outside))
            np.add(entries, first, out=symbols[group], dtype=np.int32)
        if escaped:
            where = np.concatenate(escaped)
            values = self._get_escaped(where.size)
            symbols[where] = escape.from_value(values, *groups.limits(where))
        result[groups.order] = symbols

    def _get_entries(self, count: int, model: BlockModel) -> np.ndarray:
        rest = count % model.length
        if model.length == 1 or count == rest:
            return self._decode(model.single, count)
        blocks = model.part(self._decode(model.joint, count // model.length))
        if rest:
            return np.concatenate([blocks, self._decode(model.single, rest)])
        return blocks

    def _get_escaped(self, count: int) -> np.ndarray:
        exponents = self._decode(_EXPONENTS, count)
        remainders = np.zeros(count, np.int64)
        for exponent in np.unique(exponents):
            members = exponents == exponent
            size = int(np.count_nonzero(members))
            for shift, bits in _limbs(int(exponent)):
                limb = self._decode_with(_Uniform(1 << bits), size)
                remainders[members] |= limb.astype(np.int64) << shift
        return (np.int64(1) << exponents.astype(np.int64)) + remainders - 1

    def _decode(self, model: Model, count: int) -> np.ndarray:
        return self._decode_with(model.decoding, count)

    def _decode_with(self, model: object, count: int) -> np.ndarray:
        try:
            return self._decoder.decode(model, count)
        except AssertionError as error:
            # constriction: "tried to decode from invalid compressed data".
            raise BitstreamError("a stream can be decoded", error) from None


class _Groups:
    """The symbols of one part, sorted by table and stable within.

    Iterates over (slice of the sorted symbols, first symbol, end symbol, model) of
    the tables that occur.
    """

    def __init__(self, table_index: np.ndarray, tables: CdfTables):
        self._tables = tables
        # Bytes and short words are sorted by radix, in a third of the time.
        narrow = np.uint8 if len(tables) <= 256 else np.uint16
        if table_index.size and not (
            table_index.min() >= 0 and table_index.max() < len(tables)
        ):
            raise ValueError(f"table indices lie below {len(tables)}")
        index = table_index.astype(narrow)
        self.order = np.argsort(index, kind="stable")
        numbers = np.arange(len(tables) + 1)
        self._starts = np.searchsorted(index, numbers, sorter=self.order)

    def __iter__(self) -> Iterator[tuple[slice, int, int, BlockModel]]:
        tables, starts = self._tables, self._starts
        models = block_models(tables)
        for table in np.flatnonzero(np.diff(starts)):
            first = int(tables.offsets[table])
            end = first + int(tables.sizes[table]) - 1
            yield slice(*starts[table : table + 2]), first, end, models[table]

    def limits(self, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and end symbol of the tables of sorted symbols, i64[n] each."""
        table = np.searchsorted(self._starts, where, side="right") - 1
        first = self._tables.offsets[table].astype(np.int64)
        return first, first + self._tables.sizes[table] - 1


def _parts(table_index: np.ndarray) -> list[slice]:
    if table_index.ndim != 1:
        raise ValueError(f"table indices are a vector: {table_index.shape}")
    starts = range(0, table_index.size, PART_SYMBOLS)
    return [slice(start, start + PART_SYMBOLS) for start in starts]


def _limbs(exponent: int) -> list[tuple[int, int]]:
    """(shift, bits) of the parts in which a remainder is coded, low bits first."""
    low, high = min(exponent, _LOW_BITS), max(exponent - _LOW_BITS, 0)
    return [(shift, bits) for shift, bits in ((0, low), (_LOW_BITS, high)) if bits]
