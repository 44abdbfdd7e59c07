"""Portions through a coder and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdc.entropy_coders.coders import Decoder, EntropyCoder
from rdc.entropy_coders.tables import CdfTables

Portion = tuple[np.ndarray, np.ndarray, CdfTables]  # symbols, table indices, tables


def encode(coder: EntropyCoder, *portions: Portion) -> bytes:
    encoder = coder.encoder()
    for symbols, table_index, tables in portions:
        encoder.put(symbols, table_index, tables)
    return encoder.finish()


def assert_round_trip(
    coder: EntropyCoder, open_stream: Callable[[bytes], Decoder], *portions: Portion
) -> bytes:
    """The stream, after `open_stream` has read it as it was written."""
    stream = encode(coder, *portions)
    decoder = open_stream(stream)
    for symbols, table_index, tables in portions:
        decoded = decoder.get(table_index, tables)
        assert decoded.dtype == np.int32
        np.testing.assert_array_equal(decoded, symbols)
    decoder.finish()
    return stream
