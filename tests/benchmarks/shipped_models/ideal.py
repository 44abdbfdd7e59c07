"""The default coder, with the ideal bits of the tables counted beside."""

from __future__ import annotations

import numpy as np

from rdc.entropy_coders.range_coder import RangeCoder, RangeEncoder
from rdc.entropy_coders.tables import CdfTables
from tests.unit.rdc.entropy_coders.samples import ideal_bits


class CountingCoder(RangeCoder):
    """Writes what `RangeCoder` writes.

    Attributes:
      ideal_bits, stream_bits: of each stream that was finished.
    """

    def __init__(self) -> None:
        self.ideal_bits: list[float] = []
        self.stream_bits: list[int] = []

    def encoder(self) -> RangeEncoder:
        return _CountingEncoder(self)


class _CountingEncoder(RangeEncoder):
    def __init__(self, coder: CountingCoder):
        super().__init__()
        self._coder, self._bits = coder, 0.0

    def put(
        self, symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
    ) -> None:
        self._bits += ideal_bits(symbols, table_index, tables)
        super().put(symbols, table_index, tables)

    def finish(self) -> bytes:
        stream = super().finish()
        self._coder.ideal_bits.append(self._bits)
        self._coder.stream_bits.append(8 * len(stream))
        return stream
