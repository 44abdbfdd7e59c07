"""Integer tables as an interleaved rANS coder uses them: found by slot, not by search.

The tables stand end to end on one line of keys, 2^16 each: key = table 2^16 + slot.
Two more follow those of the model: of one entry, which lanes without a symbol decode
and which leaves a state as it is, and the exponents of escaped symbols.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from rdc.entropy_coders import escape
from rdc.entropy_coders.tables import PRECISION_BITS, TOTAL, CdfTables

# 64 Gaussian tables and the two of our own are looked up without a search.
_MAX_LOOKUP = 66 << PRECISION_BITS


class RansTables(NamedTuple):
    """Arrays of NumPy, or the same on a device; E entries of T + 2 tables.

    Attributes:
      lookup: int[(T + 2) 2^16 / 2^b], the entry at every 2^b-th key.
      ends: u32[E + 2^b], the last key of each entry.
      starts: u32[E], the first key of each entry.
      frequencies: u32[E], 1 to 2^16.
      first_entries: i32[T + 2], of each table.
      sizes, offsets: i32[T], of `CdfTables`.
    """

    lookup: Any
    ends: Any
    starts: Any
    frequencies: Any
    first_entries: Any
    sizes: Any
    offsets: Any

    @property
    def search_bits(self) -> int:
        """b: so many halvings find an entry behind the one that `lookup` gives."""
        keys = self.first_entries.shape[0] << PRECISION_BITS
        return (keys // self.lookup.shape[0]).bit_length() - 1

    @property
    def idle(self) -> int:
        """Number of the table of one entry."""
        return int(self.sizes.shape[0])

    @property
    def exponents(self) -> int:
        """Number of the table of `rdc.entropy_coders.escape`'s exponents."""
        return self.idle + 1


@functools.lru_cache(maxsize=4)
def rans_tables(tables: CdfTables) -> RansTables:
    """Of a model's tables; kept, since they live as long as their codec.

    Raises:
      ValueError: more tables than keys of 32 bits tell apart.
    """
    if len(tables) + 2 > TOTAL:
        raise ValueError(f"rANS has keys for 65534 tables, not for {len(tables)}")
    frequencies = np.concatenate(
        [tables.frequencies, [TOTAL], escape.exponent_frequencies(TOTAL)]
    ).astype(np.uint32)
    ends = np.cumsum(frequencies, dtype=np.int64)
    search_bits = 0
    while (len(tables) + 2) << PRECISION_BITS >> search_bits > _MAX_LOOKUP:
        search_bits += 1
    # An entry begins the lookup's places from its first key on, rounded up.
    places = -(-ends // (1 << search_bits))
    lookup = np.repeat(
        np.arange(ends.size, dtype=np.uint16 if ends.size <= TOTAL else np.int32),
        np.diff(places, prepend=0),
    )
    sizes = np.concatenate([tables.sizes, [1, escape.NUM_EXPONENTS]])
    return RansTables(
        lookup=lookup,
        ends=np.pad((ends - 1).astype(np.uint32), (0, 1 << search_bits), mode="edge"),
        starts=(ends - frequencies).astype(np.uint32),
        frequencies=frequencies,
        first_entries=(np.cumsum(sizes) - sizes).astype(np.int32),
        sizes=tables.sizes,
        offsets=tables.offsets,
    )
