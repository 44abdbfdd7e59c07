"""What symbols will cost in a file, from their likelihoods, before they are coded."""

from __future__ import annotations

import numpy as np

from rdc.entropy_coders import escape
from rdc.entropy_coders.tables import PRECISION_BITS, CdfTables

_PART = 1 << 20  # symbols at once: bounds the memory


def estimated_bits(
    likelihood_bits: np.ndarray,
    symbols: np.ndarray,
    table_index: np.ndarray,
    tables: CdfTables,
) -> float:
    """Bits of the symbols: by likelihood inside of their table, as escapes outside.

    Far out, a likelihood says nothing of the file: an escape costs about 15 bits where
    a Gaussian at ten scales would charge 77.

    Args:
      likelihood_bits: f[n], -log2 of the model's probabilities.
      symbols: i32[n].
      table_index: i32[n], of each symbol's table.
    """
    bits = 0.0
    for start in range(0, symbols.size, _PART):
        part = slice(start, start + _PART)
        bits += _estimated(
            likelihood_bits[part], symbols[part], table_index[part], tables
        )
    return bits


def _estimated(
    likelihood_bits: np.ndarray,
    symbols: np.ndarray,
    table_index: np.ndarray,
    tables: CdfTables,
) -> float:
    first = tables.offsets[table_index]
    end = first + tables.sizes[table_index] - 1
    outside = (symbols < first) | (symbols >= end)
    if not outside.any():
        return float(likelihood_bits.sum(dtype=np.float64))
    inside_bits = likelihood_bits[~outside].sum(dtype=np.float64)
    last = np.cumsum(tables.sizes)[table_index[outside]] - 1  # the escape entries
    entry_bits = PRECISION_BITS - np.log2(tables.frequencies[last].astype(np.float64))
    value = escape.to_value(symbols[outside], first[outside], end[outside])
    exponent, _ = escape.split(value)
    return float(inside_bits + (entry_bits + 2.0 * exponent + 1.0).sum())
