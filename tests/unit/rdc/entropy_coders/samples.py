"""Random latents as a trained model makes them, and random damage."""

from __future__ import annotations

import numpy as np

from rdc.entropy_coders.tables import CdfTables, gaussian_tables

GAUSSIAN = gaussian_tables()
SCALES = np.geomspace(0.11, 256.0, 64)


def latents(seed: int, count: int, level: float = 10.0) -> tuple[np.ndarray, ...]:
    """(symbols i32[n], table_index i32[n]); `level` is the mean table."""
    random = np.random.default_rng(seed)
    index = np.clip(random.normal(level, 12, count), 0, 63).astype(np.int32)
    symbols = np.rint(random.normal(0, 1, count) * SCALES[index]).astype(np.int32)
    return symbols, index


def damage(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Flips bits, cuts, inserts, rotates, or splices with another stream."""
    kind = random.integers(6)
    place = int(random.integers(len(data)))
    if kind == 0:
        changed = bytearray(data)
        changed[place] ^= 1 << random.integers(8)
        return bytes(changed)
    if kind == 1:
        return data[:place]
    if kind == 2:
        return data[:place] + random.bytes(int(random.integers(1, 9))) + data[place:]
    if kind == 3:
        return data[:place] + other[place:]
    if kind == 4:
        return data[place:] + data[:place]
    changed = np.frombuffer(data, np.uint8).copy()
    places = random.integers(0, changed.size, random.integers(1, 20))
    changed[places] = random.integers(0, 256, places.size)
    return changed.tobytes()


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
