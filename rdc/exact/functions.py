"""Division and tables on integers that stand for multiples of 2^-16."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

FRACTION_BITS = 16
LIMIT = (1 << 29) - 1  # of values, in steps: just below 2^13


def _erfc(x: np.ndarray) -> np.ndarray:
    from scipy.special import erfc  # a fifth of a second, and for GELU alone

    return erfc(x)


# Tables are looked up by multiples of 2^-12.
TABLE_FRACTION_BITS = 12
TABLE_RANGES = {"tanh": (-8, 8), "exp": (-16, 8), "erfc": (-4, 4)}
_TABULATED: dict[str, Callable] = {
    "tanh": np.tanh,
    "exp": np.exp,
    "erfc": _erfc,
}


def round_shift(steps: jax.Array, bits: jax.Array | int) -> jax.Array:
    """steps / 2^bits, rounded to the nearest integer, halves upwards."""
    half = (jnp.int64(1) << bits) >> 1
    return (steps + half) >> bits


def divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """a / b, rounded towards zero; b = 0 counts as one step."""
    return jax.lax.div(a << FRACTION_BITS, jnp.where(b == 0, 1, b))


def tanh(a: jax.Array) -> jax.Array:
    """Hyperbolic tangent, by table."""
    return _look_up("tanh", a)


def exp(a: jax.Array) -> jax.Array:
    """Exponential, by table; above 8 it stays at e^8."""
    return _look_up("exp", a)


def erfc(a: jax.Array) -> jax.Array:
    """Complementary error function, by table."""
    return _look_up("erfc", a)


@functools.cache
def table(name: str) -> np.ndarray:
    """int64[n]: the function at the ends of its range and every 2^-12 between.

    No entry lies so near to a rounding threshold that another mathematics library
    could round it to another integer (a test says so).
    """
    return np.rint(exact_values(name) * 2**FRACTION_BITS).astype(np.int64)


def exact_values(name: str) -> np.ndarray:
    """f64[n]: the entries of `table` before rounding, as numbers."""
    first, last = TABLE_RANGES[name]
    grid = np.arange(first << TABLE_FRACTION_BITS, (last << TABLE_FRACTION_BITS) + 1)
    return _TABULATED[name](grid / 2**TABLE_FRACTION_BITS)


def _look_up(name: str, a: jax.Array) -> jax.Array:
    first, last = TABLE_RANGES[name]
    position = round_shift(a, FRACTION_BITS - TABLE_FRACTION_BITS)
    position = jnp.clip(
        position, first << TABLE_FRACTION_BITS, last << TABLE_FRACTION_BITS
    )
    return jnp.asarray(table(name))[position - (first << TABLE_FRACTION_BITS)]
