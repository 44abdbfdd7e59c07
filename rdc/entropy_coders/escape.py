"""Symbols outside their table: an Exp-Golomb code of side and distance.

symbol -> distance from the nearer end of the table, 0 for the first one outside
       -> value = 2 distance, plus 1 below the table
       -> value + 1 = 2^exponent + remainder, 0 <= remainder < 2^exponent
"""

from __future__ import annotations

import numpy as np

from rdc.errors import BitstreamError

NUM_EXPONENTS = 33  # enough for any int32 symbol
_INT32 = np.iinfo(np.int32)


def exponent_frequencies(total: int) -> np.ndarray:
    """Frequencies of the exponents, i64[33]: halves of halves, at least 1 each."""
    frequencies = np.maximum(total >> np.arange(1, NUM_EXPONENTS + 1), 1)
    frequencies[0] += total - frequencies.sum()
    return frequencies


def to_value(
    symbols: np.ndarray, first: int | np.ndarray, end: int | np.ndarray
) -> np.ndarray:
    """Values i64[n] of symbols outside of first <= symbol < end of their table."""
    symbols = symbols.astype(np.int64)
    return np.where(symbols < first, 2 * (first - symbols) - 1, 2 * (symbols - end))


def from_value(value: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Inverse of `to_value`, i32[n], with the limits of each symbol's table.

    Raises:
      BitstreamError: a symbol that no encoder wrote, outside of int32.
    """
    symbols = np.where(value & 1, first - (value + 1) // 2, end + value // 2)
    if ((symbols < _INT32.min) | (symbols > _INT32.max)).any():
        raise BitstreamError("escaped symbols fit into 32 bits", "a larger one")
    return symbols.astype(np.int32)


def split(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(exponent i32[n], remainder i64[n]) of values from 0 to 2^33 - 2."""
    # frexp is exact below 2^53.
    exponent = np.frexp((value + 1).astype(np.float64))[1] - 1
    return exponent, value + 1 - (np.int64(1) << exponent)
