"""Metrics: how far a decoded image is from the original, both of 8 bits.

To add one, write a function and one line of `METRICS`: every evaluation of every codec
then has it, in records and as a column of the tables. No JAX here, and SciPy only where
a metric is computed: planners and analysis read the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdc.ops.ms_ssim_constants import (
    CONTRAST_CONSTANT,
    LUMINANCE_CONSTANT,
    MS_SSIM_MIN_SIDE_PX,
    MS_SSIM_WEIGHTS,
    WINDOW_SIGMA,
    WINDOW_TAPS,
)

# Variance of a rounding to whole levels. No error of 8-bit images is told from less.
LEAST_MSE_255 = 1 / 12


def mse_255(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean squared error of u8[H,W,3] images, over pixels and channels."""
    _check_pair(x, x_hat)
    difference = x.astype(np.int32) - x_hat.astype(np.int32)
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr_db(x: np.ndarray, x_hat: np.ndarray) -> float:
    """PSNR of u8[H,W,3] images in dB, at most 58.92.

    That is the PSNR of an error of `LEAST_MSE_255`: a perfect image would have an
    infinite one, which no mean of a set survives. Of a set, the field reports the mean
    of these values, not the PSNR of the mean error.
    """
    return 10 * math.log10(255**2 / max(mse_255(x, x_hat), LEAST_MSE_255))


def ms_ssim(x: np.ndarray, x_hat: np.ndarray) -> float | None:
    """Multi-scale structural similarity of u8[H,W,3] images, at most 1.

    Wang et al. 2003: five scales, 11-tap Gaussian window of sigma 1.5 at valid
    positions, 2 x 2 means between scales. As usual in this field, it is taken per RGB
    channel and averaged, negative contrasts count as zero, and odd sizes repeat their
    last row or column before they are halved (the convention of TensorFlow).

    Returns:
      None for images with a side under 161 pixels, which have no fifth scale.
    """
    _check_pair(x, x_hat)
    if min(x.shape[:2]) < MS_SSIM_MIN_SIDE_PX:
        return None
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    similarity = np.ones(x.shape[-1])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale > 0:
            x, x_hat = _halve(x), _halve(x_hat)
        luminance, contrast = _ssim_maps(x, x_hat)
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        term = luminance * contrast if last else contrast
        mean = term.mean(axis=(0, 1), dtype=np.float64)
        similarity *= np.maximum(mean, 0) ** weight
    return float(similarity.mean())


def ms_ssim_db(value: float) -> float:
    """-10 log10(1 - MS-SSIM), the scale on which curves are drawn."""
    return -10 * math.log10(1 - value) if value < 1 else math.inf


def _ssim_maps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance and contrast-structure maps at valid window positions."""
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    covariance = _window_mean(x * y) - product
    variances = _window_mean(x * x + y * y) - squares
    luminance = (2 * product + LUMINANCE_CONSTANT) / (squares + LUMINANCE_CONSTANT)
    contrast = (2 * covariance + CONTRAST_CONSTANT) / (variances + CONTRAST_CONSTANT)
    return luminance, contrast


def _window_mean(image: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    margin = WINDOW_TAPS // 2
    positions = np.arange(WINDOW_TAPS) - margin
    window = np.exp(-0.5 * (positions / WINDOW_SIGMA) ** 2)
    window /= window.sum()
    rows = ndimage.correlate1d(image, window, axis=0)[margin:-margin]
    return ndimage.correlate1d(rows, window, axis=1)[:, margin:-margin]


def _halve(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return 0.25 * (
        image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
    )


def _check_pair(x: np.ndarray, x_hat: np.ndarray) -> None:
    if x.shape != x_hat.shape or x.ndim != 3:
        raise ValueError(
            f"metrics compare images [H,W,C] of one shape: {x.shape}, {x_hat.shape}"
        )
    if x.dtype != np.uint8 or x_hat.dtype != np.uint8:
        raise ValueError(
            f"metrics compare images of 8 bits: {x.dtype} and {x_hat.dtype}"
        )


@dataclass(frozen=True)
class Metric:
    """A metric of one decoded image.

    Attributes:
      function: (x, x_hat), each u8[H,W,3] -> the value; None where the image is too
        small for it.
      label: as people write it, in plots and tables.
      unit: "" for a plain number.
      minimise: whether less is better.
    """

    function: Callable[[np.ndarray, np.ndarray], float | None]
    label: str
    unit: str
    minimise: bool


# Column -> metric; the name carries the unit.
METRICS: dict[str, Metric] = {
    "psnr_db": Metric(psnr_db, "PSNR", "dB", minimise=False),
    "ms_ssim": Metric(ms_ssim, "MS-SSIM", "", minimise=False),
    "mse_255": Metric(mse_255, "MSE", "squared levels", minimise=True),
}
METRIC_NAMES = tuple(METRICS)


def measure(x: np.ndarray, x_hat: np.ndarray) -> dict[str, float | None]:
    """All metrics of u8[H,W,3] images, by name."""
    return {name: metric.function(x, x_hat) for name, metric in METRICS.items()}
