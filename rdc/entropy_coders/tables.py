"""Integer frequency tables of symbols: what encoder and decoder must share.

A table is a run of consecutive symbols and one escape entry at its end, which stands
for every other symbol. Frequencies are whole numbers of at least 1 that sum to 2^16.
Tables are computed once, when a model is exported, and travel with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rdc.errors import BitstreamError
from rdc.ops.scales import MAX_SCALE, MIN_SCALE, NUM_SCALES

PRECISION_BITS = 16
TOTAL = 1 << PRECISION_BITS
TAIL_MASS = 2.0**-12  # of both tails, left to the escape entry

_MAX_OFFSET = 1 << 20


@dataclass(frozen=True, eq=False)
class CdfTables:
    """T tables of different lengths, end to end.

    Args:
      frequencies: u16[sum(sizes)]; table t has `sizes[t]` entries, the escape last.
      sizes: i32[T], number of entries, at least 2.
      offsets: i32[T], the symbol of a table's first entry.

    Raises:
      BitstreamError: frequencies that cannot be coded with.
    """

    frequencies: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        _require(self.frequencies.dtype == np.uint16, "hold u16 frequencies")
        _require(
            self.sizes.dtype == self.offsets.dtype == np.int32
            and self.sizes.shape == self.offsets.shape
            and self.sizes.ndim == self.frequencies.ndim == 1,
            "have one i32 size and offset each",
        )
        _require(bool((self.sizes >= 2).all()), "have at least two entries")
        _require(int(self.sizes.sum()) == self.frequencies.size, "fill their sizes")
        _require(bool((self.frequencies > 0).all()), "have frequencies of at least 1")
        _require(
            bool((np.abs(self.offsets.astype(np.int64)) < _MAX_OFFSET).all()),
            "have offsets under 2^20",
        )
        sums = [int(f.sum(dtype=np.int64)) for f in self.split()]
        _require(all(s == TOTAL for s in sums), "sum to 2^16 each")

    def __len__(self) -> int:
        return len(self.sizes)

    def groups(self, count: int) -> tuple[CdfTables, ...]:
        """`count` sets of equally many tables, in order."""
        frequencies, size = self.split(), len(self) // count
        parts = [slice(i * size, (i + 1) * size) for i in range(count)]
        return tuple(
            CdfTables(
                np.concatenate(frequencies[part]), self.sizes[part], self.offsets[part]
            )
            for part in parts
        )

    def split(self) -> list[np.ndarray]:
        """The frequencies table by table."""
        return np.split(self.frequencies, np.cumsum(self.sizes)[:-1])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for an .npz file; `from_arrays` is the inverse."""
        return {
            "frequencies": self.frequencies,
            "sizes": self.sizes,
            "offsets": self.offsets,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CdfTables:
        """Tables from what `to_arrays` gave.

        Raises:
          BitstreamError: arrays that are no valid tables.
        """
        return cls(**{name: np.asarray(arrays[name]) for name in _FIELDS})

    @cached_property
    def sha256(self) -> str:
        """Content hash, 64 hex digits, equal on machines of either byte order."""
        digest = hashlib.sha256()
        for array, kind in zip(
            (self.sizes, self.offsets, self.frequencies),
            ("<i4", "<i4", "<u2"),
            strict=True,
        ):
            digest.update(array.astype(kind).tobytes())
        return digest.hexdigest()


_FIELDS = ("frequencies", "sizes", "offsets")


def gaussian_tables() -> CdfTables:
    """Zero-mean Gaussians of 64 log-spaced scales from 0.11 to 256.

    Entry k of a table has the mass of [k - 1/2, k + 1/2].
    """
    from scipy.special import ndtr  # a fifth of a second, and for exports alone

    pmfs, offsets = [], []
    for scale in np.geomspace(MIN_SCALE, MAX_SCALE, NUM_SCALES):
        reach = math.ceil(5 * scale)
        distance = np.abs(np.arange(-reach, reach + 1))
        # Folded to the left tail, where the difference keeps its precision.
        pmfs.append(ndtr((0.5 - distance) / scale) - ndtr((-0.5 - distance) / scale))
        offsets.append(-reach)
    return tables_from_pmfs(pmfs, offsets)


def tables_from_pmfs(
    pmfs: Sequence[np.ndarray] | np.ndarray,
    offsets: Sequence[int],
    tail_mass: float = TAIL_MASS,
) -> CdfTables:
    """Quantises probabilities to integer tables.

    Args:
      pmfs: per table, the probabilities of consecutive symbols, f64[n]; what they
        lack to 1 belongs to all other symbols.
      offsets: per table, the first symbol.
      tail_mass: symbols at both ends are left to the escape entry as long as each
        end holds at most half of it.

    Raises:
      ValueError: negative, non-finite or vanishing probabilities.
    """
    tables, first_symbols = [], []
    for pmf, offset in zip(pmfs, offsets, strict=True):
        pmf = np.asarray(pmf, np.float64)
        if not (np.isfinite(pmf).all() and (pmf >= 0).all() and pmf.sum() > tail_mass):
            raise ValueError(f"not probabilities of symbols: {pmf}")
        first = int(np.searchsorted(np.cumsum(pmf), tail_mass / 2, side="right"))
        last = pmf.size - int(
            np.searchsorted(np.cumsum(pmf[::-1]), tail_mass / 2, side="right")
        )
        kept = pmf[first:last]
        tables.append(_quantise(np.append(kept, max(1.0 - kept.sum(), 0.0))))
        first_symbols.append(offset + first)
    return CdfTables(
        frequencies=np.concatenate(tables).astype(np.uint16),
        sizes=np.array([table.size for table in tables], np.int32),
        offsets=np.array(first_symbols, np.int32),
    )


def _quantise(pmf: np.ndarray) -> np.ndarray:
    """Frequencies of at least 1 and sum 2^16 at nearly the least expected bits.

    The least is at f = max(1, c p) with one c for all, rounded down here; what is
    left goes, one each, to the entries that gain most from it.
    """
    low, high = 0.0, float(TOTAL) / pmf.sum()
    for _ in range(60):
        middle = 0.5 * (low + high)
        if np.maximum(np.floor(middle * pmf), 1).sum() <= TOTAL:
            low = middle
        else:
            high = middle
    frequencies = np.maximum(np.floor(low * pmf), 1).astype(np.int64)
    while (left := TOTAL - int(frequencies.sum())) > 0:
        gain = pmf * np.log1p(1 / frequencies)
        best = np.argsort(-gain, kind="stable")[:left]
        frequencies[best] += 1
    return frequencies


def _require(valid: bool, rule: str) -> None:
    if not valid:
        raise BitstreamError(
            f"frequency tables {rule}", remedy="export the model again"
        )
