"""Where latents begin: a Laplacian pyramid of the brightness (Burt & Adelson 1983)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from rdc.overfitted.parameters import LATENT_UNIT, MID_GREY, Parameters
from rdc.overfitted.upsampling import doubled


def brightness_pyramid(
    parameters: Parameters, x: jax.Array, grids: int
) -> list[jax.Array]:
    """Latents f32[h,w], the finest first, of x f32[3,H,W] in [0,1].

    With networks at their start, whose image is grey and the sum of all grids, they
    give x without its colours.
    """
    levels = [(jnp.mean(x, 0) - MID_GREY) / LATENT_UNIT]
    for _ in range(grids - 1):
        levels.append(_halved(levels[-1]))
    latents = [levels[-1]]
    for k in reversed(range(grids - 1)):
        taps = parameters[f"upsampling.taps.{k}"]
        wide = doubled(doubled(levels[k + 1][None], taps, 1), taps, 2)[0]
        height, width = levels[k].shape
        latents.insert(0, levels[k] - wide[:height, :width])
    return latents


def _halved(plane: jax.Array) -> jax.Array:
    """Means of 2 x 2; a last odd row or column counts twice."""
    height, width = plane.shape
    even = jnp.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return (even[::2] + even[1::2]).reshape(even.shape[0] // 2, -1, 2).mean(-1) / 2
