"""The third coder: rANS, many states side by side, for devices that decode in parallel.

Symbol i of a portion belongs to lane i mod L. All lanes step at once, row by row; their
bytes share one stream, in the order in which a decoder wants them. The escaped symbols
follow the portion. docs/format.md states the format in full,
`rdc.entropy_coders.rans_device` reads it on a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from rdc.entropy_coders import escape
from rdc.entropy_coders.rans_steps import (
    LOWER_BOUND,
    STATE_BYTES,
    Lanes,
    decode_bits,
    decode_entries,
    windows,
)
from rdc.entropy_coders.rans_tables import rans_tables
from rdc.entropy_coders.tables import PRECISION_BITS, TOTAL, CdfTables
from rdc.errors import BitstreamError

MAX_LANES = 1 << 12
LANE_SHARE = 0.003  # of the bytes: what the lanes' states may cost
LIMB_BITS = 16  # remainders are coded as so many low bits, then the rest
# Of the ideal bits: states are whole numbers of 2^24 and more.
_LEAST_SHARE = 0.99


class RansCoder:
    """Streams of one byte for the number of lanes, their states, and bytes."""

    name = "rans"
    is_external = False

    def encoder(self) -> RansEncoder:
        return RansEncoder()

    def decoder(self, stream: bytes) -> RansDecoder:
        """Begins to decode `stream`.

        Raises:
          BitstreamError: it has no whole states.
        """
        return RansDecoder(stream)

    def least_bits(self, count: int, tables: CdfTables) -> float:
        cheapest = [math.log2(f.max()) for f in tables.split()]
        return _LEAST_SHARE * count * sum(PRECISION_BITS - bits for bits in cheapest)


class RansEncoder:
    """See `rdc.entropy_coders.coders.Encoder`; codes when all is known, backwards."""

    def __init__(self) -> None:
        # Per portion: (first keys within their tables, frequencies) u32[n] each of
        # its symbols, then u32[3, escaped] of exponents and limbs.
        self._portions: list[tuple[np.ndarray, np.ndarray]] = []

    def put(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        if symbols.shape != table_index.shape:
            raise ValueError(f"{symbols.shape} symbols, {table_index.shape} indices")
        check_indices(table_index, tables)
        if not symbols.size:
            return
        own = rans_tables(tables)
        first = tables.offsets[table_index].astype(np.int64)
        last = tables.sizes[table_index].astype(np.int64) - 1
        entries = symbols.astype(np.int64) - first
        escaped = (entries < 0) | (entries >= last)
        entries = np.where(escaped, last, entries) + own.first_entries[table_index]
        self._portions.append(
            (own.starts[entries] % np.uint32(TOTAL), own.frequencies[entries])
        )
        if escaped.any():
            first, end = first[escaped], (first + last)[escaped]
            value = escape.to_value(symbols[escaped], first, end)
            self._put_escaped(*escape.split(value), own.first_entries[own.exponents])

    def finish(self) -> bytes:
        if not self._portions:
            return b""
        bits = sum(
            PRECISION_BITS * f.size - np.log2(f.astype(np.float64)).sum()
            for _, f in self._portions
        )
        lanes = lanes_for(bits / 8)
        starts, frequencies = (
            np.concatenate([_rows(part[i], lanes, fill) for part in self._portions])
            for i, fill in ((0, 0), (1, TOTAL))
        )
        states = np.full(lanes, LOWER_BOUND, np.uint32)
        low = np.empty(starts.shape, np.uint16)
        counts = np.empty(starts.shape, np.uint8)
        spread = np.uint32(TOTAL) - frequencies
        for row in reversed(range(len(starts))):
            frequency = frequencies[row]
            count = ((states >> 16) >= frequency).view(np.uint8)
            count = count + ((states >> 24) >= frequency).view(np.uint8)
            low[row], counts[row] = states & 0xFFFF, count
            states >>= count << 3
            states += states // frequency * spread[row] + starts[row]
        # A row's bytes are the lowest ones of its states, the higher one first.
        written = np.stack([counts == 2, counts >= 1], axis=-1)
        data = low.astype(">u2").view(np.uint8).reshape(written.shape)[written]
        head = bytes([lanes.bit_length() - 1])
        return head + states.astype("<u4").tobytes() + data.tobytes()

    def _put_escaped(
        self, exponents: np.ndarray, remainders: np.ndarray, first_entry: int
    ) -> None:
        frequencies = escape.exponent_frequencies(TOTAL)
        starts = np.cumsum(frequencies) - frequencies
        coded = [(starts[exponents], frequencies[exponents])]
        low = np.minimum(exponents, LIMB_BITS)
        for bits, limb in (
            (low, remainders & ((1 << low) - 1)),
            (exponents - low, remainders >> low),
        ):
            coded.append((limb << (PRECISION_BITS - bits), TOTAL >> bits))
        first, second = (
            np.stack(column).astype(np.uint32) for column in zip(*coded, strict=True)
        )
        self._portions.append((first, second))


@dataclass(frozen=True)
class RansStream:
    """A stream's parts.

    Attributes:
      states: u32[L] that decoding begins with; none without symbols.
      data: the bytes behind them.
    """

    states: np.ndarray
    data: bytes

    @classmethod
    def parsed(cls, stream: bytes) -> Self:
        """Raises `BitstreamError` where it does not hold what it says."""
        if not stream:
            return cls(np.empty(0, np.uint32), b"")
        end = 1 + (STATE_BYTES << stream[0])
        if 1 << stream[0] > MAX_LANES or len(stream) < end:
            raise BitstreamError(
                f"a rANS stream has 1 to {MAX_LANES} lanes and a state of each",
                f"2^{stream[0]} lanes in {len(stream)} bytes",
            )
        states = np.frombuffer(stream[1:end], "<u4").astype(np.uint32)
        if (states < LOWER_BOUND).any():
            raise BitstreamError(
                "states of rANS are 2^24 or more", f"one of {states.min()}"
            )
        return cls(states, stream[end:])

    def check_begun(self) -> None:
        """Raises `BitstreamError` where there is nothing to decode symbols from."""
        if not self.states.size:
            raise BitstreamError("a stream holds its symbols", "an empty one")

    def check_end(self, states: np.ndarray, position: int) -> None:
        """Raises `BitstreamError` unless these are where a decoder ends."""
        if position != len(self.data) or (states != LOWER_BOUND).any():
            raise BitstreamError(
                "a stream ends with its last symbol",
                f"{position} bytes of {len(self.data)} read, "
                f"{np.count_nonzero(states != LOWER_BOUND)} lanes not at their end",
            )


class RansDecoder:
    """See `rdc.entropy_coders.coders.Decoder`; in NumPy, all lanes at once."""

    def __init__(self, stream: bytes):
        self._stream = RansStream.parsed(stream)
        self._lanes = Lanes(self._stream.states, 0)
        # A row reads two bytes per lane at most before its end is checked.
        size = len(self._stream.data) + 2 * self._stream.states.size
        self._windows = windows(self._stream.data, size)

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        check_indices(table_index, tables)
        if not table_index.size:
            return np.empty(0, np.int32)
        self._stream.check_begun()
        own = rans_tables(tables)
        entries = np.empty(table_index.size, np.int32)
        rows = _rows(table_index.astype(np.uint32), self._stream.states.size, own.idle)
        for start, row in zip(self._starts(table_index.size), rows, strict=True):
            found = self._step(decode_entries, row, own)
            entries[start : start + row.size] = found[: entries.size - start]
        entries -= own.first_entries[table_index]
        symbols = entries + tables.offsets[table_index]
        escaped = np.flatnonzero(entries == tables.sizes[table_index] - 1)
        if escaped.size:
            table = table_index[escaped]
            first = tables.offsets[table].astype(np.int64)
            end = first + tables.sizes[table] - 1
            values = self._escaped(escaped.size, tables)
            symbols[escaped] = escape.from_value(values, first, end)
        return symbols

    def finish(self) -> None:
        self._stream.check_end(self._lanes.states, int(self._lanes.position))

    def _escaped(self, count: int, tables: CdfTables) -> np.ndarray:
        own = rans_tables(tables)
        values = np.empty(count, np.int64)
        lanes = self._stream.states.size
        for start in self._starts(count):
            active = np.arange(lanes) < count - start
            table = np.where(active, own.exponents, own.idle).astype(np.uint32)
            entries = self._step(decode_entries, table, own)
            exponents = entries - own.first_entries[table]
            low = np.minimum(exponents, LIMB_BITS)
            limbs = [
                self._step(decode_bits, bits.astype(np.uint32)).astype(np.int64)
                for bits in (low, exponents - low)
            ]
            value = (np.int64(1) << exponents.astype(np.int64)) - 1
            value += limbs[0] + (limbs[1] << low)
            values[start : start + lanes] = value[active]
        return values

    def _starts(self, count: int) -> range:
        return range(0, count, self._stream.states.size)

    def _step(
        self, step: Callable[..., tuple[Lanes, Any]], *arguments: Any
    ) -> np.ndarray:
        self._lanes, found = step(self._lanes, *arguments, self._windows)
        if self._lanes.position > len(self._stream.data):
            raise BitstreamError("a stream holds its symbols", "a shorter one")
        return found


def lanes_for(size_bytes: float) -> int:
    """How many lanes a stream of about this size has: a power of two.

    Their states take `LANE_SHARE` of it at most, or it has one lane.
    """
    most = max(LANE_SHARE * size_bytes / STATE_BYTES, 1.0)
    return min(1 << int(math.log2(most)), MAX_LANES)


def check_indices(table_index: np.ndarray, tables: CdfTables) -> None:
    """Raises `ValueError` unless it is a vector of numbers of tables."""
    if table_index.ndim != 1:
        raise ValueError(f"table indices are a vector: {table_index.shape}")
    if table_index.size and not 0 <= table_index.min() <= table_index.max() < len(
        tables
    ):
        raise ValueError(f"table indices lie below {len(tables)}")


def _rows(values: np.ndarray, lanes: int, fill: int) -> np.ndarray:
    """[n] -> [rows, lanes], filled up; [3, n] -> [3 rows, lanes], the three in turn."""
    missing = -values.shape[-1] % lanes
    pads = [(0, 0)] * (values.ndim - 1) + [(0, missing)]
    padded = np.pad(values, pads, constant_values=fill)
    if values.ndim == 1:
        return padded.reshape(-1, lanes)
    return padded.reshape(len(values), -1, lanes).swapaxes(0, 1).reshape(-1, lanes)
