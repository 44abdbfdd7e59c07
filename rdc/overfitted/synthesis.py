"""Upsampling and synthesis in floating point, for the optimisation.

grid 6 -> x2 -> grids 5, 6 -> x2 -> ..  -> all grids at full resolution
    -> 1x1 (ReLU) -> 1x1, + linear bypass -> colours -> residual 3x3 blocks -> x_hat
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from rdc.overfitted.parameters import COLOURS, Parameters
from rdc.overfitted.spec import OverfittedSpec
from rdc.overfitted.strips import Planes, Strips, sum_over_strips
from rdc.overfitted.upsampling import doubled

_STRIP_PIXELS = 1 << 14


def squared_error(
    parameters: Parameters,
    latents: list[jax.Array],
    x: jax.Array,
    spec: OverfittedSpec,
) -> jax.Array:
    """Sum over pixels and colours of (x_hat - x)^2, f32[], of x f32[3,H,W] in [0,1]."""
    own = {n: v for n, v in parameters.items() if not n.startswith("entropy")}
    height, width = x.shape[1:]
    rows = min(height, max(8, _STRIP_PIXELS // width))
    halo = 2 * spec.residual_blocks
    strips = Strips(-(-height // rows), rows, (halo,))
    below = strips.count * rows - height
    planes = extended(upsampled(own, latents), spec.residual_blocks, below)
    valid = (jnp.arange(height + below) < height).astype(jnp.float32)[:, None]
    target = jnp.pad(x, ((0, 0), (0, below), (0, 0)))

    def error(parameters: Parameters, planes: Planes, fixed: Planes) -> jax.Array:
        target, valid = fixed
        x_hat = synthesised(parameters, planes[0], spec)
        return jnp.sum(jnp.square(x_hat - target) * valid)

    return sum_over_strips(error, strips, own, (planes,), (target, valid))


def reconstructed(
    parameters: Parameters, latents: list[jax.Array], spec: OverfittedSpec
) -> jax.Array:
    """x_hat f32[3,H,W], not clipped to [0,1]."""
    planes = extended(upsampled(parameters, latents), spec.residual_blocks)
    return synthesised(parameters, planes, spec)


def upsampled(parameters: Parameters, latents: list[jax.Array]) -> jax.Array:
    """All grids at full resolution, f32[grids,H,W], the finest first."""
    planes = latents[-1][None]
    for k in reversed(range(len(latents) - 1)):
        finer = latents[k]
        taps = parameters[f"upsampling.taps.{k}"]
        planes = doubled(doubled(planes, taps, 1), taps, 2)
        planes = planes[:, : finer.shape[0], : finer.shape[1]]
        planes = jnp.concatenate([finer[None], planes])
    return planes


def extended(planes: jax.Array, pixels: int, below: int = 0) -> jax.Array:
    """With edge values beyond the edges, for the 3x3 blocks that shrink it again."""
    pads = ((0, 0), (pixels, pixels + below), (pixels, pixels))
    return jax.lax.optimization_barrier(jnp.pad(planes, pads, mode="edge"))


def synthesised(
    parameters: Parameters, planes: jax.Array, spec: OverfittedSpec
) -> jax.Array:
    """f32[grids, rows + 2 b, w + 2 b] -> colours f32[3, rows, w], b residual blocks."""
    grids, *sides = planes.shape
    inputs = planes.reshape(grids, -1)
    hidden = parameters["synthesis.weight.0"] @ inputs
    hidden = jax.nn.relu(hidden + parameters["synthesis.bias.0"][:, None])
    colours = (
        parameters["synthesis.weight.out"] @ hidden
        + parameters["synthesis.weight.bypass"] @ inputs
        + parameters["synthesis.bias.out"][:, None]
    ).reshape(COLOURS, *sides)
    for i in range(spec.residual_blocks):
        weight = parameters[f"residual.weight.{i}"]
        bias = parameters[f"residual.bias.{i}"][:, None, None]
        # A ReLU on the sum would die where a colour turns negative everywhere.
        change = _convolved(jax.nn.relu(colours), weight) + bias
        colours = colours[:, 1:-1, 1:-1] + change
    return colours


def _convolved(x: jax.Array, weight: jax.Array) -> jax.Array:
    """3x3 without padding; weight [3, 27], inputs by row, column, colour.

    A product per row of the window, then a sum of shifted columns: compiled for
    processors, convolutions in a loop take thirty times as long as products.
    """
    channels, height, width = x.shape
    rows = jnp.concatenate([x[:, i : i + height - 2] for i in range(3)])
    by_row = weight.reshape(COLOURS, 3, 3, channels)  # output, row, column, colour
    matrix = by_row.transpose(2, 0, 1, 3).reshape(3 * COLOURS, 3 * channels)
    products = (matrix @ rows.reshape(3 * channels, -1)).reshape(
        3, COLOURS, height - 2, width
    )
    left, middle, right = (products[j, :, :, j : j + width - 2] for j in range(3))
    return left + middle + right
