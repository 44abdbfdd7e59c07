"""Twice as many rows or columns, by 8 symmetric taps: forwards and its gradient.

The gradient is written out: derived, it runs through the pads of both axes at once and
takes twice as long.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rdc.overfitted.parameters import TAPS

_PAD = TAPS // 2


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def doubled(planes: jax.Array, taps: jax.Array, axis: int) -> jax.Array:
    """f32[C,h,w] -> twice the size of axis 1 or 2.

    Entry 2 i is the sum of taps[t] planes[i - 2 + t], entry 2 i + 1 its mirror image;
    beyond an edge is the edge's value.
    """
    shifted = _shifted(planes, axis)
    # (Python's sum may be the number 0.)
    even: Any = sum(taps[t] * shifted[t] for t in range(TAPS))
    odd: Any = sum(taps[TAPS - 1 - t] * shifted[t + 1] for t in range(TAPS))
    shape = [2 * n if a == axis else n for a, n in enumerate(planes.shape)]
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def _forward(
    planes: jax.Array, taps: jax.Array, axis: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return doubled(planes, taps, axis), (planes, taps)


def _backward(
    axis: int, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    planes, taps = kept
    size = planes.shape[axis]
    shape = [
        n for a, n in enumerate(planes.shape) for n in ((n, 2) if a == axis else (n,))
    ]
    pairs = gradient.reshape(shape)
    even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    pads = [(TAPS, TAPS) if a == axis else (0, 0) for a in range(3)]
    even, odd = lax.optimization_barrier((even, odd))
    wide_even, wide_odd = lax.optimization_barrier(
        (jnp.pad(even, pads), jnp.pad(odd, pads))
    )

    def part(x: jax.Array, first: int, length: int) -> jax.Array:
        return lax.slice_in_dim(x, first, first + length, axis=axis)

    whole = size + TAPS  # the edges' values beyond the edges included
    wide = lax.optimization_barrier(
        sum(
            taps[t] * part(wide_even, TAPS - t, whole)
            + taps[TAPS - 1 - t] * part(wide_odd, TAPS - 1 - t, whole)
            for t in range(TAPS)
        )
    )
    before = jnp.sum(part(wide, 0, _PAD), axis, keepdims=True)
    after = jnp.sum(part(wide, _PAD + size, _PAD), axis, keepdims=True)
    inside = part(wide, _PAD, size)
    first, last = (
        tuple(slice(i, i + 1) if a == axis else slice(None) for a in range(3))
        for i in (0, size - 1)
    )
    of_planes = inside.at[first].add(before).at[last].add(after)
    shifted = _shifted(planes, axis)
    of_taps = [_total(even * shifted[t] + odd * shifted[TAPS - t]) for t in range(TAPS)]
    return of_planes, jnp.stack(of_taps)


doubled.defvjp(_forward, _backward)


def _shifted(planes: jax.Array, axis: int) -> list[jax.Array]:
    pads = [(_PAD, _PAD) if a == axis else (0, 0) for a in range(3)]
    padded = lax.optimization_barrier(jnp.pad(planes, pads, mode="edge"))
    size = planes.shape[axis]
    return [lax.slice_in_dim(padded, t, t + size, axis=axis) for t in range(TAPS + 1)]


def _total(products: jax.Array) -> jax.Array:
    return jnp.sum(lax.optimization_barrier(jnp.sum(products, (0, 1))))
