"""The frozen tables of the latents: Laplacians by mean and scale."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from rdc.entropy_coders.tables import CdfTables, tables_from_pmfs

MEANS = 16  # per unit: the fraction of the mean, from -8/16 to 7/16
SCALES_PER_OCTAVE = 8
SCALES = 72
MIN_LOG2_SCALE = -4.5
MAX_LOG2_SCALE = MIN_LOG2_SCALE + (SCALES - 1) / SCALES_PER_OCTAVE  # 19.7

_FILE = Path(__file__).parent / "tables.npz"


@cache
def frozen_tables() -> CdfTables:
    """Table s 16 + m + 8 is of scale number s and the mean m / 16, -8 <= m < 8."""
    with np.load(_FILE) as arrays:
        return CdfTables.from_arrays(arrays)


def laplace_tables() -> CdfTables:
    """The tables anew, from floating point: how the file was made."""
    pmfs, offsets = [], []
    for number in range(SCALES):
        scale = 2.0 ** (MIN_LOG2_SCALE + number / SCALES_PER_OCTAVE)
        reach = int(np.ceil(9 * scale)) + 1
        symbols = np.arange(-reach, reach + 1)
        for fraction in range(-MEANS // 2, MEANS // 2):
            pmfs.append(_masses(symbols - fraction / MEANS, scale))
            offsets.append(-reach)
    return tables_from_pmfs(pmfs, offsets)


def _masses(distance: np.ndarray, scale: float) -> np.ndarray:
    """Of the cells of width 1 at these distances from the mean, f64[n]."""
    away = np.abs(distance)
    far = 0.5 * np.exp((0.5 - np.maximum(away, 0.5)) / scale) * -np.expm1(-1 / scale)
    middle = 1 - 0.5 * (
        np.exp((np.minimum(away, 0.5) - 0.5) / scale) + np.exp((-away - 0.5) / scale)
    )
    return np.where(away < 0.5, middle, far)
