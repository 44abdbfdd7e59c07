"""LayerNorm's normalisation on integers that stand for multiples of 2^-16.

By its operations one by one, a square would have to stay below 2^13: positions with a
deviation of more than 90 would be cut, and small ones would lose their digits. Here as
many bits are kept as the sums have room for, and the root is taken of a mantissa, so
that the precision does not depend on how large the values are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from rdc.exact.errors import InexactPrimitiveError
from rdc.exact.functions import LIMIT, round_shift

MAX_CHANNELS = 2048
CENTRED_BITS = 4  # more fraction bits of x - mean: multiples of 2^-20
SQUARED_BITS = 25  # of x - mean, where it is squared
VARIANCE_BITS = 10  # more fraction bits of the variance: multiples of 2^-50
EPSILON_STEPS = 11258999068  # 1e-5 in that unit
MANTISSA_BITS = 22
ROOT_BITS = 62


def normalize(a: jax.Array) -> jax.Array:
    """(a - mean) / sqrt(variance + 1e-5) over the last axis, int64[..., n].

    docs/format.md has every step. With |a| < 2^29 and n <= 2048, squares sum to at
    most 2^61 and products stay below 2^56.
    """
    n = a.shape[-1]
    if n > MAX_CHANNELS:
        raise InexactPrimitiveError(
            f"LayerNorm sees {MAX_CHANNELS} channels at most", n
        )
    a = jnp.clip(a, -LIMIT, LIMIT) << CENTRED_BITS
    total = jnp.sum(a, axis=-1, keepdims=True)
    centred = a - jnp.floor_divide(2 * total + n, 2 * n)
    largest = jnp.max(jnp.abs(centred), axis=-1, keepdims=True)
    dropped = jnp.maximum(_bit_length(largest) - SQUARED_BITS, 0)
    squares = jnp.square(round_shift(centred, dropped))
    total = jnp.sum(squares, axis=-1, keepdims=True)
    whole, rest = total // n, total % n
    variance = (whole << VARIANCE_BITS) + (rest << VARIANCE_BITS) // n
    variance += EPSILON_STEPS >> 2 * dropped
    root, exponent = reciprocal_root(variance)
    # Units: d of 2^-20, the variance of 2^-50 4^dropped, the result of 2^-16.
    return round_shift(centred * root, exponent + dropped - 21)


def reciprocal_root(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """1 / sqrt(v) of v >= 1 as root 2^-exponent, 2^20 <= root <= 2^21.

    v is cut to a mantissa m of 21 or 22 bits by an even number of bits; root is the
    largest with root^2 m <= 2^62: a floating-point guess, corrected exactly.
    """
    quarters = (_bit_length(v) - MANTISSA_BITS + 1) // 2  # v = m 4^quarters
    mantissa = (v << jnp.maximum(-2 * quarters, 0)) >> jnp.maximum(2 * quarters, 0)
    guess = jnp.floor(2.0 ** (ROOT_BITS // 2) / jnp.sqrt(mantissa.astype(jnp.float64)))
    root = guess.astype(jnp.int64)
    fits = [jnp.square(root + i) * mantissa <= 1 << ROOT_BITS for i in (0, 1)]
    return root - 1 + fits[0] + fits[1], ROOT_BITS // 2 + quarters


def _bit_length(a: jax.Array) -> jax.Array:
    return jnp.sum(a[..., None] >= (jnp.int64(1) << jnp.arange(63)), axis=-1)
