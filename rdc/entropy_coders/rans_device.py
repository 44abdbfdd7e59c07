"""The rANS decoder in JAX: a stream goes to a device, symbols come out there.

`decode_portion` can stand in a larger program, between networks; `DeviceDecoder` is
it alone, behind the interface of all decoders.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdc.entropy_coders.rans_coder import LIMB_BITS, RansStream, check_indices
from rdc.entropy_coders.rans_steps import (
    Lanes,
    decode_bits,
    decode_entries,
    windows,
)
from rdc.entropy_coders.rans_tables import RansTables, rans_tables
from rdc.entropy_coders.tables import CdfTables
from rdc.errors import BitstreamError

_INT32_MAX = 2**31 - 1


class DeviceStream(NamedTuple):
    """A decoder in a program.

    Attributes:
      lanes: u32[L] states, and u32[] bytes that were read.
      windows: u16[n] of the bytes; n is a power of two, so that few programs serve all
        streams. What is read past their end is found at the end of the stream.
      is_sound: bool[], whether all symbols so far fit into int32.
    """

    lanes: Lanes
    windows: Any
    is_sound: Any

    @classmethod
    def of(cls, stream: RansStream) -> DeviceStream:
        """At the beginning of a stream that has lanes."""
        size = 1 << (len(stream.data) + 1).bit_length()
        lanes = Lanes(stream.states, np.uint32(0))
        return cls(lanes, windows(stream.data, size), np.bool_(True))

    def check_end(self, stream: RansStream) -> None:
        """Raises `BitstreamError` unless the stream is whole and used up."""
        if not self.is_sound:
            raise BitstreamError("escaped symbols fit into 32 bits", "a larger one")
        stream.check_end(np.asarray(self.lanes.states), int(self.lanes.position))


def decode_portion(
    stream: DeviceStream, table_index: jax.Array, tables: RansTables
) -> tuple[DeviceStream, jax.Array]:
    """The next portion of symbols, i32[n], in order; for use within a program.

    Args:
      table_index: i32[n], n at least 1.
      tables: on the device.
    """
    count, num_lanes = table_index.size, stream.lanes.states.size
    num_rows = -(-count // num_lanes)
    padded = jnp.pad(
        table_index.astype(jnp.uint32),
        (0, num_rows * num_lanes - count),
        constant_values=tables.idle,
    ).reshape(num_rows, num_lanes)

    def one_row(lanes: Lanes, table: jax.Array) -> tuple[Lanes, jax.Array]:
        return decode_entries(lanes, table, tables, stream.windows)

    lanes, entries = lax.scan(one_row, stream.lanes, padded)
    entries = entries.reshape(-1)[:count] - tables.first_entries[table_index]
    symbols = entries + tables.offsets[table_index]
    escaped = entries == tables.sizes[table_index] - 1
    stream = stream._replace(lanes=lanes)
    return _with_escaped(stream, symbols, escaped, table_index, tables)


def _with_escaped(
    stream: DeviceStream,
    symbols: jax.Array,
    escaped: jax.Array,
    table_index: jax.Array,
    tables: RansTables,
) -> tuple[DeviceStream, jax.Array]:
    """`symbols` with those in place that follow the portion."""
    count, num_lanes = symbols.size, stream.lanes.states.size
    size = -(-count // num_lanes) * num_lanes
    (places,) = jnp.nonzero(escaped, size=size, fill_value=count)
    num_escaped = escaped.sum()

    def some_are_left(carry: Any) -> jax.Array:
        return carry[0] < num_escaped

    def one_group(carry: Any) -> Any:
        start, symbols, lanes, is_sound = carry
        place = lax.dynamic_slice(places, (start,), (num_lanes,))
        active = place < count
        table = jnp.where(active, tables.exponents, tables.idle).astype(jnp.uint32)
        lanes, entries = decode_entries(lanes, table, tables, stream.windows)
        exponents = (entries - tables.first_entries[table]).astype(jnp.uint32)
        low_bits = jnp.minimum(exponents, LIMB_BITS)
        lanes, low = decode_bits(lanes, low_bits, stream.windows)
        lanes, high = decode_bits(lanes, exponents - low_bits, stream.windows)
        table = table_index[jnp.minimum(place, count - 1)]
        first = tables.offsets[table]
        found, fits = symbols_of(
            exponents, low | high << LIMB_BITS, first, first + tables.sizes[table] - 1
        )
        symbols = symbols.at[place].set(found, mode="drop")
        is_sound &= (fits | ~active).all()
        return start + num_lanes, symbols, lanes, is_sound

    start = jnp.zeros_like(num_escaped)
    carry = start, symbols, stream.lanes, stream.is_sound
    _, symbols, lanes, is_sound = lax.while_loop(some_are_left, one_group, carry)
    return stream._replace(lanes=lanes, is_sound=is_sound), symbols


def symbols_of(
    exponent: jax.Array, remainder: jax.Array, first: jax.Array, end: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(i32[n], whether int32 holds them) of escaped values 2^exponent + remainder - 1.

    As `escape.from_value`, though the values themselves have 33 bits: half of them
    does not.

    Args:
      exponent, remainder: u32[n].
      first, end: i32[n], limits of each symbol's table.
    """
    has_half = exponent > 0
    power = jnp.where(has_half, jnp.uint32(1) << (exponent - has_half), 0)
    is_below = has_half & (remainder % 2 == 0)
    # (value + 1) / 2 below the table, value / 2 above it.
    distance = power + (remainder >> 1)
    first, end = first.astype(jnp.uint32), end.astype(jnp.uint32)
    room = jnp.where(is_below, first + jnp.uint32(2**31), _INT32_MAX - end)
    symbols = jnp.where(is_below, first - distance, end + distance)
    return symbols.astype(jnp.int32), distance <= room


class DeviceDecoder:
    """See `rdc.entropy_coders.coders.Decoder`; a program per size of a portion."""

    def __init__(self, stream: bytes):
        self._parsed = RansStream.parsed(stream)
        self._stream = DeviceStream.of(self._parsed)

    def get(self, table_index: np.ndarray, tables: CdfTables) -> np.ndarray:
        check_indices(table_index, tables)
        if not table_index.size:
            return np.empty(0, np.int32)
        self._parsed.check_begun()
        self._stream, symbols = _decode_portion(
            self._stream, table_index.astype(np.int32), tables_on_device(tables)
        )
        if self._stream.lanes.position > len(self._parsed.data):
            raise BitstreamError("a stream holds its symbols", "a shorter one")
        return np.asarray(symbols)

    def finish(self) -> None:
        self._stream.check_end(self._parsed)


@functools.lru_cache(maxsize=4)
def tables_on_device(tables: CdfTables) -> RansTables:
    """`rans_tables`, where programs run; kept as those are."""
    return jax.device_put(rans_tables(tables))


_decode_portion = jax.jit(decode_portion)
