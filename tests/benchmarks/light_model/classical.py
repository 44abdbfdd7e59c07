"""JPEG and WebP by Pillow: dense curves, and their rate at a given PSNR."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features

from rdc.measurements.metrics import psnr_db

QUALITIES = range(1, 99, 3)
JPEG, JPEG_444, PROGRESSIVE, PROGRESSIVE_444, WEBP = CODECS = (
    "JPEG 4:2:0",
    "JPEG 4:4:4",
    "JPEG 4:2:0, progressive",
    "JPEG 4:4:4, progressive",
    "WebP",
)
_SETTINGS: Mapping[str, dict[str, Any]] = {
    JPEG: {"format": "jpeg", "optimize": True, "subsampling": "4:2:0"},
    JPEG_444: {"format": "jpeg", "optimize": True, "subsampling": "4:4:4"},
    PROGRESSIVE: {"format": "jpeg", "progressive": True, "subsampling": "4:2:0"},
    PROGRESSIVE_444: {"format": "jpeg", "progressive": True, "subsampling": "4:4:4"},
    WEBP: {"format": "webp", "method": 6},
}


@dataclass(frozen=True)
class Curve:
    """f64[n] each, one point per quality of `QUALITIES`."""

    bpp: np.ndarray
    psnr_db: np.ndarray

    def bpp_at(self, psnr_db: float) -> float:
        """Log-rate interpolated over PSNR; outside of the curve is an error."""
        order = np.argsort(self.psnr_db)
        quality, rate = self.psnr_db[order], np.log(self.bpp[order])
        if not quality[0] <= psnr_db <= quality[-1]:
            raise ValueError(f"{psnr_db:.2f} dB lies outside of {quality[[0, -1]]}")
        return float(np.exp(np.interp(psnr_db, quality, rate)))


def curve(codec: str, x: np.ndarray) -> Curve:
    """Rate and PSNR of u8[H,W,3] at every quality; all bytes of the file count."""
    points = [_coded(codec, x, quality) for quality in QUALITIES]
    return Curve(*np.asarray(points).T)


def versions() -> str:
    """Of the libraries behind the curves."""
    return (
        f"Pillow {features.version('pil')}, libjpeg-turbo "
        f"{features.version('libjpeg_turbo')}, libwebp {features.version('webp')}"
    )


def _coded(codec: str, x: np.ndarray, quality: int) -> tuple[float, float]:
    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, quality=quality, **_SETTINGS[codec])
    with Image.open(buffer) as image:
        x_hat = np.asarray(image.convert("RGB"))
    pixels = x.shape[0] * x.shape[1]
    return 8 * buffer.getbuffer().nbytes / pixels, psnr_db(x, x_hat)
