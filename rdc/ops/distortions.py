"""Distortions that a training can weigh against the rate, and the scale of each.

    loss = bpp + lmbda * distortion

To add one, write a function and one line of `DISTORTIONS`. This module is read where
recipes are checked, and so imports no JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdc.ops.ms_ssim_constants import MS_SSIM_MIN_SIDE_PX

if TYPE_CHECKING:
    import jax


@dataclass(frozen=True)
class Distortion:
    """A differentiable distortion.

    Attributes:
      function: (x, x_hat), each f32[B,H,W,3] in [0,1] (x_hat not clipped) -> f32[B],
        of each image.
      least_px: side of the smallest image that it is defined on.
    """

    function: Callable[[jax.Array, jax.Array], jax.Array]
    least_px: int = 1


def mse_255(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Mean squared error on the 0-255 scale; lmbda about 0.001 to 0.1."""
    return ((x_hat - x) ** 2).mean((1, 2, 3)) * 255.0**2


def one_minus_ms_ssim(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """1 - MS-SSIM, in [0,1]; lmbda about 2 to 220 (CompressAI model zoo)."""
    from rdc.ops.ms_ssim import ms_ssim

    return 1.0 - ms_ssim(x, x_hat)


DISTORTIONS: dict[str, Distortion] = {
    "mse": Distortion(mse_255),
    "ms_ssim": Distortion(one_minus_ms_ssim, least_px=MS_SSIM_MIN_SIDE_PX),
}
