"""One step of an interleaved rANS decoder, for arrays of NumPy and of JAX alike.

A state x lies in [2^24, 2^32). Its low 16 bits name the entry; what is left of the
state takes up bytes of the stream until it is back in its range. All lanes do so at
once: those that read, read in their order.

    key   = table 2^16 + x mod 2^16         -> entry, its first key, its frequency
    x     = frequency (x >> 16) + key - first key          at least 2^8
    bytes = (x < 2^24) + (x < 2^16)                        0, 1 or 2
    x     = x 2^(8 bytes) + the next bytes, the first one highest

Everything fits into 32 bits without a sign: TPUs, and JAX as it comes, have no more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rdc.entropy_coders.rans_tables import RansTables
from rdc.entropy_coders.tables import PRECISION_BITS, TOTAL

LOWER_BOUND = 1 << 24  # of states; what an encoder begins with
STATE_BYTES = 4
_SLOT = np.uint32(TOTAL - 1)
_SHIFT = np.uint32(PRECISION_BITS)
_WINDOW_BITS = np.uint32(16)


class Lanes(NamedTuple):
    """Where a decoder is: states u32[L], and the bytes that were read, u32."""

    states: Any
    position: Any


def windows(data: bytes, size: int) -> np.ndarray:
    """u16[size]: at each place this byte and the next, the first one high; 0 past the
    end.
    """
    padded = np.zeros(size + 1, np.uint16)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded[:-1] << np.uint16(8) | padded[1:]


def decode_entries(
    lanes: Lanes, table: Any, tables: RansTables, stream: Any
) -> tuple[Lanes, Any]:
    """One entry per lane, int[L], of all tables end to end.

    Args:
      table: u32[L], the table of each lane's entry; `tables.idle` for none.
      stream: u16[n], `windows` of it.
    """
    key = table << _SHIFT | lanes.states & _SLOT
    bits = tables.search_bits
    entry = tables.lookup[key >> np.uint32(bits)]
    for step in (1 << bit for bit in reversed(range(bits))):
        behind = key > tables.ends[entry + (step - 1)]
        entry = entry + behind * np.int32(step)
    high = lanes.states >> _SHIFT
    states = tables.frequencies[entry] * high + (key - tables.starts[entry])
    return _refilled(states, lanes.position, stream), entry


def decode_bits(lanes: Lanes, bits: Any, stream: Any) -> tuple[Lanes, Any]:
    """A number of `bits` bits per lane, u32[L] both, 0 to 16 of them."""
    frequency_bits = np.uint32(PRECISION_BITS) - bits
    slot = lanes.states & _SLOT
    value = slot >> frequency_bits
    rest = slot - (value << frequency_bits)
    states = (lanes.states >> _SHIFT << frequency_bits) + rest
    return _refilled(states, lanes.position, stream), value


def _refilled(states: Any, position: Any, stream: Any) -> Lanes:
    missing = (states < np.uint32(LOWER_BOUND)).astype(np.uint32)
    missing = missing + (states < np.uint32(TOTAL)).astype(np.uint32)
    ends = missing.cumsum(dtype=np.uint32)
    read = stream[position + (ends - missing)].astype(np.uint32)
    bits = missing << np.uint32(3)
    return Lanes(states << bits | read >> (_WINDOW_BITS - bits), position + ends[-1])
