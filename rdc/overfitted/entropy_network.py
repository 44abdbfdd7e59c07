"""The autoregressive entropy network in floating point, for the optimisation.

neighbours decoded before, latents of coarser grids at the same place
    -> hidden layers (ReLU) -> + linear bypass -> mean, log2 of the scale
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from rdc.ops.bounds import lower_bound, upper_bound
from rdc.overfitted.parameters import Parameters
from rdc.overfitted.spec import REACH, OverfittedSpec
from rdc.overfitted.strips import Planes, Strips, sum_over_strips
from rdc.overfitted.tables import MAX_LOG2_SCALE, MIN_LOG2_SCALE

_STRIP_LATENTS = 1 << 14  # 16 channels of these fill 1 MiB, a core's cache


def total_bits(
    parameters: Parameters, latents: list[jax.Array], spec: OverfittedSpec
) -> jax.Array:
    """Bits of all grids, f32[]; latents f32[h,w], the finest first."""
    own = {n: v for n, v in parameters.items() if n.startswith("entropy")}
    total = jnp.float32(0)
    for k, grid in enumerate(latents):
        height, width = grid.shape
        rows = min(height, max(1, _STRIP_LATENTS // width))
        strips = Strips(-(-height // rows), rows, (REACH, *(0,) * spec.coarser))
        below = strips.count * rows - height
        padded = jnp.pad(grid, ((REACH, below), (REACH, REACH)))
        coarse = [
            _nearest(latents[k + j], (height + below, width), j)
            if k + j < spec.grids
            else jnp.zeros((height + below, width))
            for j in range(1, spec.coarser + 1)
        ]
        valid = (jnp.arange(height + below) < height).astype(jnp.float32)[:, None]
        bits = partial(_bits_of_strip, spec)
        total += sum_over_strips(bits, strips, own, (padded, *coarse), (valid,))
    return total


def _bits_of_strip(
    spec: OverfittedSpec, parameters: Parameters, planes: Planes, fixed: Planes
) -> jax.Array:
    padded, *coarse = planes
    inputs = context(padded, coarse, spec)
    mean, log2_scale = entropy_parameters(parameters, inputs, spec)
    grid = padded[REACH:, REACH:-REACH]
    bits = laplace_bits(grid.ravel() - mean, log2_scale)
    return jnp.sum(bits.reshape(grid.shape) * fixed[0])


def context(
    padded: jax.Array, coarse: list[jax.Array], spec: OverfittedSpec
) -> jax.Array:
    """What the network sees of each latent, f32[inputs, rows * w].

    Args:
      padded: f32[REACH + rows, REACH + w + REACH] of the grid.
      coarse: f32[rows, w] of the next coarser grids, the nearest first.
    """
    rows, width = padded.shape[0] - REACH, padded.shape[1] - 2 * REACH
    planes = [
        padded[REACH + i : REACH + i + rows, REACH + j : REACH + j + width]
        for i, j in spec.neighbours
    ]
    return jnp.stack(planes + coarse).reshape(spec.entropy_inputs, rows * width)


def entropy_parameters(
    parameters: Parameters, inputs: jax.Array, spec: OverfittedSpec
) -> tuple[jax.Array, jax.Array]:
    """Mean and log2 of the scale, f32[n] each, of inputs f32[inputs, n]."""
    hidden = inputs
    for i in range(len(spec.entropy_widths)):
        weight, bias = (
            parameters[f"entropy.{kind}.{i}"] for kind in ("weight", "bias")
        )
        hidden = jax.nn.relu(weight @ hidden + bias[:, None])
    output = (
        parameters["entropy.weight.out"] @ hidden
        + parameters["entropy.weight.bypass"] @ inputs
        + parameters["entropy.bias.out"][:, None]
    )
    return output[0], output[1]


def laplace_bits(distance: jax.Array, log2_scale: jax.Array) -> jax.Array:
    """Bits of the mass within 1/2 of the distance from the mean of a Laplacian.

    In log space outside of the middle cell, so that a far value keeps its gradient.
    """
    log2_scale = upper_bound(lower_bound(log2_scale, MIN_LOG2_SCALE), MAX_LOG2_SCALE)
    rate = jnp.exp2(-log2_scale)
    away = jnp.abs(distance)
    inside = away < 0.5
    near = jnp.where(inside, away, 0.5)
    middle = 0.5 * (jnp.exp((near - 0.5) * rate) + jnp.exp((-near - 0.5) * rate))
    tail = -jnp.log(0.5 * -jnp.expm1(-rate))
    far = (jnp.where(inside, 0.5, away) - 0.5) * rate + tail
    return jnp.where(inside, -jnp.log1p(-middle), far) / jnp.log(2.0)


def _nearest(grid: jax.Array, shape: tuple[int, int], levels: int) -> jax.Array:
    """Each latent at all its places of a grid so many levels finer, padded by zeros."""
    side = 2**levels
    fine = jnp.repeat(jnp.repeat(grid, side, 0), side, 1)[: shape[0], : shape[1]]
    return jnp.pad(fine, ((0, shape[0] - fine.shape[0]), (0, 0)))
