"""Random latents as a trained model makes them: many tables, mostly small symbols."""

from __future__ import annotations

import numpy as np

from rdc.codec.tables import CdfTables, gaussian_tables

GAUSSIAN = gaussian_tables()
SCALES = np.geomspace(0.11, 256.0, 64)


def latents(seed: int, count: int, level: float = 10.0) -> tuple[np.ndarray, ...]:
    """(symbols i32[n], table_index i32[n]); `level` is the mean table."""
    random = np.random.default_rng(seed)
    index = np.clip(random.normal(level, 12, count), 0, 63).astype(np.int32)
    symbols = np.rint(random.normal(0, 1, count) * SCALES[index]).astype(np.int32)
    return symbols, index


def ideal_bits(
    symbols: np.ndarray, table_index: np.ndarray, tables: CdfTables
) -> float:
    """-log2 of the tables' probabilities, and 2 floor(log2 v) + 1 bits per escape."""
    starts = np.cumsum(tables.sizes) - tables.sizes
    last = tables.sizes[table_index].astype(np.int64) - 1
    entry = symbols.astype(np.int64) - tables.offsets[table_index]
    escaped = (entry < 0) | (entry >= last)
    distance = np.where(entry < 0, -2 * entry - 1, 2 * (entry - last))[escaped]
    entry[escaped] = last[escaped]
    frequencies = tables.frequencies[starts[table_index] + entry]
    gamma = 2 * np.floor(np.log2(distance + 1)) + 1
    return float(np.sum(16 - np.log2(frequencies)) + np.sum(gamma))
