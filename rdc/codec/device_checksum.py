"""zlib's CRC-32 in a program of a device, by operations of 32 bits.

A CRC is linear: that of two blocks is that of the first, moved on over as many zero
bytes as the second has, xor that of the second. So half of the words is moved on over
the other half, until one word is left.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_POLYNOMIAL = 0xEDB88320
_ONES = 0xFFFFFFFF


def crc32(words: jax.Array) -> jax.Array:
    """u32[] of 32-bit words [n], n at least 1, as `zlib.crc32` has it of their bytes
    in little-endian order.
    """
    count = words.size
    levels = (count - 1).bit_length()
    words = lax.bitcast_convert_type(words, jnp.uint32)
    # Zeros in front change nothing.
    words = jnp.pad(words, ((1 << levels) - count, 0))
    for level in reversed(range(levels)):
        first, second = jnp.split(words, 2)
        words = _moved(first, 2 + level) ^ second
    start = _ONES
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            start = _apply(_matrix(2 + bit), start)
    return _moved(words, 2)[0] ^ np.uint32(start ^ _ONES)


def _moved(words: jax.Array, level: int) -> jax.Array:
    """CRCs moved on over 2^level zero bytes."""
    tables = jnp.asarray(_tables(level))
    moved = jnp.zeros_like(words)
    for place, table in enumerate(tables):
        moved ^= table[words >> np.uint32(8 * place) & np.uint32(0xFF)]
    return moved


@functools.cache
def _tables(level: int) -> np.ndarray:
    """u32[4,256]: what each byte of a CRC becomes over 2^level zero bytes."""
    matrix = _matrix(level)
    return np.array(
        [
            [_apply(matrix, byte << 8 * place) for byte in range(256)]
            for place in range(4)
        ],
        np.uint32,
    )


@functools.cache
def _matrix(level: int) -> tuple[int, ...]:
    """What each bit of a CRC becomes over 2^level zero bytes."""
    if level:
        half = _matrix(level - 1)
        return tuple(_apply(half, column) for column in half)
    columns = []
    for bit in range(32):
        crc = 1 << bit
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        columns.append(crc)
    return tuple(columns)


def _apply(matrix: tuple[int, ...], crc: int) -> int:
    moved = 0
    for bit, column in enumerate(matrix):
        if crc >> bit & 1:
            moved ^= column
    return moved
