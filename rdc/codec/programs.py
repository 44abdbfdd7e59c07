"""What is compiled of a codec: one program per network, canvas and numerics.

Programs are functions of a graph, the canvas, weights, the border of the image on the
canvas, and maps. The border is i32[2], or None where the image fills the canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from rdc.codec.device_checksum import crc32
from rdc.codec.numerics import Numerics
from rdc.codec.tiles import Size
from rdc.entropy_models.gaussian_step import GaussianParameters
from rdc.ops import gaussian
from rdc.ops.borders import ImageBorder, image_border
from rdc.ops.scales import NUM_SCALES

BLOCK = 1 << 16  # symbols whose bits are computed at once


def in_blocks(
    function: Callable[..., jax.Array], size: int, *values: np.ndarray
) -> np.ndarray:
    """Flat results of `function` on blocks of so many entries: one program for all."""
    found = []
    for start in range(0, len(values[0]), size):
        parts = [v[start : start + size].astype(np.float32) for v in values]
        count = len(parts[0])
        pads = [(0, size - count)]
        full = [np.pad(p, pads + [(0, 0)] * (p.ndim - 1)) for p in parts]
        found.append(np.asarray(function(*full))[:count].ravel())
    return np.concatenate(found)


def _border(canvas_px: Size, border_px: jax.Array | None) -> Any:
    """The context that programs are traced in."""
    border = None if border_px is None else ImageBorder(canvas_px, border_px)
    return image_border(border)


@jax.jit
def gaussian_bits(symbols: jax.Array, scale_index: jax.Array) -> jax.Array:
    return gaussian.gaussian_bits(symbols, scale_index)


@partial(jax.jit, static_argnums=0)
def prior_bits(
    graph: nnx.GraphDef, state: Any, symbols: jax.Array, step: jax.Array
) -> jax.Array:
    return nnx.merge(graph, state).bits(symbols, step)


@partial(jax.jit, static_argnums=(0, 1))
def apply(
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    x: jax.Array,
) -> jax.Array:
    with _border(canvas_px, border_px):
        return nnx.merge(graph, state)(x).astype(jnp.float32)


@partial(jax.jit, static_argnums=(0, 1))
def from_pixels(
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    x: jax.Array,
) -> jax.Array:
    x = x.astype(jnp.float32) / 255.0
    return apply(graph, canvas_px, state, border_px, x)


@partial(jax.jit, static_argnums=(0, 1))
def to_pixels(
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    y_hat: jax.Array,
) -> jax.Array:
    x_hat = apply(graph, canvas_px, state, border_px, y_hat)
    return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8)


@partial(jax.jit, static_argnums=(0, 1, 2))
def features(
    numerics: Numerics,
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    z_hat: jax.Array,
) -> jax.Array:
    def features(state: Any, border_px: Any, z_hat: jax.Array) -> jax.Array:
        with _border(canvas_px, border_px):
            return nnx.merge(graph, state)(z_hat).astype(jnp.float32)

    return numerics.adapt(features)(state, border_px, z_hat)


@partial(jax.jit, static_argnums=(0, 1, 2))
def parameters(
    numerics: Numerics,
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    features: jax.Array,
    support: jax.Array | None,
) -> GaussianParameters:
    def parameters(
        state: Any, border_px: Any, features: jax.Array, support: Any
    ) -> Any:
        step = nnx.merge(graph, state)
        with _border(canvas_px, border_px):
            found = step.parameters(features, support)
        return found if step.lrp is not None else found._replace(mean_input=None)

    return numerics.adapt(parameters)(state, border_px, features, support)


@partial(jax.jit, static_argnums=(0, 1, 2))
def refine(
    numerics: Numerics,
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    border_px: jax.Array | None,
    part: jax.Array,
    mean_input: jax.Array,
) -> jax.Array:
    def refine(state: Any, border_px: Any, part: jax.Array, seen: jax.Array) -> Any:
        with _border(canvas_px, border_px):
            return nnx.merge(graph, state).refined(part, seen)

    return numerics.adapt(refine)(state, border_px, part, mean_input)


class Offered(NamedTuple):
    """What a coding step has before its symbols are known.

    Attributes:
      table_index: u8[n,h,w,C].
      parity: u16[n], as `rdc.codec.symbols.Portion.parity`.
      mean, mean_input, step: of `GaussianParameters`.
    """

    table_index: jax.Array
    parity: jax.Array
    mean: jax.Array
    mean_input: jax.Array | None
    step: jax.Array | None


@partial(jax.jit, static_argnums=(0, 1, 2))
def offered(
    numerics: Numerics,
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    features: jax.Array,
    support: jax.Array | None,
    shift: jax.Array,
) -> Offered:
    """`parameters` of images that fill the canvas, as the host makes use of them.

    The barrier has the networks compiled as they are by themselves, so that they round
    as in the encoder.
    """
    found = apart(
        parameters(numerics, graph, canvas_px, state, None, features, support)
    )
    scale_index = jnp.clip(found.scale_index + shift, 0, NUM_SCALES - 1)
    index = jnp.rint(scale_index).astype(jnp.uint8)
    parity = jax.vmap(parity_of)(found.mean, found.step, index)
    return Offered(
        index,
        parity.astype(jnp.uint16),
        found.mean,
        found.mean_input,
        found.step,
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def taken(
    numerics: Numerics,
    graph: nnx.GraphDef,
    canvas_px: Size,
    state: Any,
    symbols: jax.Array,
    inverse: jax.Array,
    mean: jax.Array,
    mean_input: jax.Array | None,
    step: jax.Array | None,
) -> jax.Array:
    """The part of y_hat that symbols stand for, refined."""
    part = apart(whole_values(symbols, inverse, step) + mean)
    if mean_input is None:
        return part
    return refine(numerics, graph, canvas_px, state, None, part, mean_input)


@jax.jit
def whole_values(
    symbols: jax.Array, inverse: jax.Array, step: jax.Array | None = None
) -> jax.Array:
    """What is added to a mean, each product rounded by itself.

    CPUs would multiply and add with one rounding, barrier or not; a choice that depends
    on the data, and always falls the same way, stands between.
    """
    whole = jnp.where(inverse > 0, symbols.astype(jnp.float32) * inverse, inverse)
    return whole if step is None else jnp.where(step > 0, whole * step, step)


def parity_of(mean: jax.Array, step: jax.Array | None, index: jax.Array) -> jax.Array:
    """u32[], as `rdc.codec.symbols.Portion.parity`: of f[...], and integers as i32."""
    words = [
        lax.bitcast_convert_type(part, jnp.uint32).ravel()
        for part in (mean, step, index.astype(jnp.int32))
        if part is not None
    ]
    return crc32(jnp.concatenate(words)) & np.uint32(0xFFFF)


def apart(values: Any) -> Any:
    return lax.optimization_barrier(values)
