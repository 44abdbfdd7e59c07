"""MS-SSIM with a gradient: `rdc.measurements.metrics.ms_ssim` up to rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rdc.ops.bounds import lower_bound
from rdc.ops.ms_ssim_constants import (
    CONTRAST_CONSTANT,
    LUMINANCE_CONSTANT,
    MS_SSIM_WEIGHTS,
    WINDOW_SIGMA,
    WINDOW_TAPS,
)

# Of the mean contrast of a scale. Fractional powers have no gradient at zero, where the
# metric clips; a first reconstruction is often there.
LEAST_CONTRAST = 1e-4


def ms_ssim(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Multi-scale structural similarity per image, f32[B,H,W,3] in [0,1] -> f32[B].

    Conventions of `rdc.measurements.metrics.ms_ssim`; sides of at least 161 pixels.
    """
    batch, height, width, channels = x.shape
    # Channels are images of their own: [B * C, H, W].
    x, x_hat = (
        255.0 * jnp.moveaxis(image, -1, 1).reshape(-1, height, width)
        for image in (x, x_hat)
    )
    similarity = jnp.ones(batch * channels)
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale > 0:
            x, x_hat = _halve(x), _halve(x_hat)
        luminance, contrast = _ssim_maps(x, x_hat)
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        mean = jnp.mean(luminance * contrast if last else contrast, axis=(1, 2))
        similarity *= lower_bound(mean, LEAST_CONTRAST) ** weight
    return jnp.mean(similarity.reshape(batch, channels), axis=1)


def _ssim_maps(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    moments = _window_mean(jnp.stack([x, y, x * y, x * x + y * y]))
    mean_x, mean_y, mean_product, mean_squares = moments
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    luminance = (2 * product + LUMINANCE_CONSTANT) / (squares + LUMINANCE_CONSTANT)
    contrast = (2 * (mean_product - product) + CONTRAST_CONSTANT) / (
        mean_squares - squares + CONTRAST_CONSTANT
    )
    return luminance, contrast


def _window_mean(images: jax.Array) -> jax.Array:
    """Gaussian means at valid positions, f32[K,N,H,W] -> f32[K,N,H-10,W-10]."""
    positions = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
    window = np.exp(-0.5 * (positions / WINDOW_SIGMA) ** 2)
    window = (window / window.sum()).astype(np.float32)
    kinds, count, height, width = images.shape
    flat = images.reshape(kinds * count, 1, height, width)
    for shape in ((1, 1, WINDOW_TAPS, 1), (1, 1, 1, WINDOW_TAPS)):
        # Differences of large means: TF32 of the accelerator would show.
        flat = jax.lax.conv_general_dilated(
            flat,
            jnp.asarray(window.reshape(shape)),
            (1, 1),
            "VALID",
            precision=jax.lax.Precision.HIGHEST,
        )
    return flat.reshape(kinds, count, *flat.shape[2:])


def _halve(x: jax.Array) -> jax.Array:
    """Means of 2 x 2; odd sizes repeat their last row or column first."""
    x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2)), mode="edge")
    return 0.25 * (
        x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
    )
