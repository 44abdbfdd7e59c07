"""JPEG, WebP and AVIF by Pillow: dense curves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features

from rdc.measurements.metrics import psnr_db

QUALITIES = range(1, 99, 3)
JPEG, JPEG_444, PROGRESSIVE, PROGRESSIVE_444, WEBP, AVIF = CODECS = (
    "JPEG 4:2:0",
    "JPEG 4:4:4",
    "JPEG 4:2:0, progressive",
    "JPEG 4:4:4, progressive",
    "WebP",
    "AVIF",
)
_SETTINGS: Mapping[str, dict[str, Any]] = {
    JPEG: {"format": "jpeg", "optimize": True, "subsampling": "4:2:0"},
    JPEG_444: {"format": "jpeg", "optimize": True, "subsampling": "4:4:4"},
    PROGRESSIVE: {"format": "jpeg", "progressive": True, "subsampling": "4:2:0"},
    PROGRESSIVE_444: {"format": "jpeg", "progressive": True, "subsampling": "4:4:4"},
    WEBP: {"format": "webp", "method": 6},
    AVIF: {"format": "avif", "speed": 6},
}


@dataclass(frozen=True)
class Curve:
    """f64[n] each, one point per quality of `QUALITIES`."""

    bpp: np.ndarray
    psnr_db: np.ndarray

    def rising(self) -> Curve:
        """Without points that cost rate and give no PSNR."""
        order = np.argsort(self.bpp)
        bpp, psnr_db = self.bpp[order], self.psnr_db[order]
        best = np.maximum.accumulate(psnr_db)
        kept = np.concatenate([[True], psnr_db[1:] > best[:-1]])
        return Curve(bpp[kept], psnr_db[kept])


def curve(codec: str, x: np.ndarray) -> Curve:
    """Rate and PSNR of u8[H,W,3] at every quality; all bytes of the file count."""
    points = [_coded(codec, x, quality) for quality in QUALITIES]
    return Curve(*np.asarray(points).T)


def versions() -> str:
    """Of the libraries behind the curves."""
    return (
        f"Pillow {features.version('pil')}, libjpeg-turbo "
        f"{features.version('libjpeg_turbo')}, libwebp {features.version('webp')}, "
        f"libavif {features.version('avif')}"
    )


def _coded(codec: str, x: np.ndarray, quality: int) -> tuple[float, float]:
    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, quality=quality, **_SETTINGS[codec])
    with Image.open(buffer) as image:
        x_hat = np.asarray(image.convert("RGB"))
    pixels = x.shape[0] * x.shape[1]
    return 8 * buffer.getbuffer().nbytes / pixels, psnr_db(x, x_hat)
