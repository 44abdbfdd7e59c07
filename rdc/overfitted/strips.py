"""A sum over strips of an image whose gradient is taken strip by strip.

Few channels at full resolution are bound by memory: kept for a backward pass, the
activations of a Kodak image take 300 MB and leave every cache. So value and gradient
of one strip are computed at once, and only the sums and the gradients of the planes
stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Planes = tuple[jax.Array, ...]
StripFunction = Callable[[Any, Planes, Planes], jax.Array]


@dataclass(frozen=True)
class Strips:
    """How planes are cut: strip i has `rows` rows from row i * rows on, and a halo.

    Attributes:
      halos: rows more of each plane.
    """

    count: int
    rows: int
    halos: tuple[int, ...]

    def read(self, planes: Planes, i: jax.Array) -> Planes:
        return tuple(
            jax.lax.dynamic_slice_in_dim(plane, i * self.rows, self.rows + halo, -2)
            for plane, halo in zip(planes, self.halos, strict=True)
        )

    def add(self, planes: Planes, i: jax.Array, strip: Planes) -> Planes:
        sums = jax.tree.map(jnp.add, self.read(planes, i), strip)
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(plane, s, i * self.rows, -2)
            for plane, s in zip(planes, sums, strict=True)
        )


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def sum_over_strips(
    function: StripFunction, strips: Strips, parameters: Any, planes: Planes, fixed: Any
) -> jax.Array:
    """Sum of `function(parameters, planes, fixed)` over strips, f32[].

    Args:
      planes: f32[..., count * rows + halo, w] each, cut along the rows.
      fixed: f32[..., count * rows, w] each, cut likewise; without gradient.
    """
    whole = _without_halo(strips, fixed)

    def body(i: jax.Array, total: jax.Array) -> jax.Array:
        strip = strips.read(planes, i), whole.read(fixed, i)
        return total + function(parameters, *strip)

    return jax.lax.fori_loop(0, strips.count, body, jnp.float32(0))


def _forward(
    function: StripFunction, strips: Strips, parameters: Any, planes: Planes, fixed: Any
) -> tuple[jax.Array, tuple[Any, Planes]]:
    differentiated = jax.value_and_grad(function, (0, 1))
    whole = _without_halo(strips, fixed)

    def body(i: jax.Array, sums: tuple) -> tuple:
        value, of_parameters, of_planes = sums
        strip = strips.read(planes, i), whole.read(fixed, i)
        v, (p, g) = differentiated(parameters, *strip)
        of_parameters = jax.tree.map(jnp.add, of_parameters, p)
        return value + v, of_parameters, strips.add(of_planes, i, g)

    zero = jax.tree.map(jnp.zeros_like, (parameters, planes))
    value, of_parameters, of_planes = jax.lax.fori_loop(
        0, strips.count, body, (jnp.float32(0), *zero)
    )
    return value, (of_parameters, of_planes)


def _backward(
    function: StripFunction, strips: Strips, gradients: Any, cotangent: jax.Array
) -> tuple[Any, Any, None]:
    of_parameters, of_planes = jax.tree.map(lambda g: g * cotangent, gradients)
    return of_parameters, of_planes, None


sum_over_strips.defvjp(_forward, _backward)


def _without_halo(strips: Strips, fixed: Planes) -> Strips:
    return Strips(strips.count, strips.rows, (0,) * len(fixed))
