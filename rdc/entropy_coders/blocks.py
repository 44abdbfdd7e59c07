"""Integer tables as models of the range coder, with short symbols joined to blocks.

Most latents come from tables of very few entries and carry far less than one bit,
but the range coder's time goes by symbols. So `length` entries that follow each other
are coded as one joint entry: (e_0, e_1, ..) of a table of n entries is the number
e_0 n^(length-1) + e_1 n^(length-2) + ...
"""

from __future__ import annotations

import functools
import itertools
import math

import constriction
import numpy as np

from rdc.entropy_coders.tables import PRECISION_BITS, CdfTables

MODEL_BITS = 24  # the precision of constriction's models
MODEL_TOTAL = 1 << MODEL_BITS
MAX_JOINT_ENTRIES = 256

# Searched one by one rather than by halves: faster for so few, and equal.
_FEW_ENTRIES = 6
_CategoricalModel = constriction.stream.model.Categorical


class Model:
    """A categorical distribution of exactly the given frequencies, of sum 2^24.

    constriction turns n weights w into the cumulative frequencies
    floor(sum_before(w) * free / sum(w)) + i with free = 2^24 - n. The weights
    frequency - 1 sum to `free` itself, so that nothing is rounded on any machine.
    """

    def __init__(self, frequencies: np.ndarray):
        weights = (frequencies - 1).astype(np.float32)  # exact: all below 2^24
        few = frequencies.size <= _FEW_ENTRIES
        self.encoding = _CategoricalModel(weights, perfect=False, lazy=False)
        self.decoding = _CategoricalModel(weights, perfect=False, lazy=few)


class BlockModel:
    """The models of one table: of single entries and of blocks of them."""

    def __init__(self, frequencies: np.ndarray):
        self.size = frequencies.size
        self.length = block_length(self.size)
        scaled = frequencies.astype(np.int64) << (MODEL_BITS - PRECISION_BITS)
        self.single = Model(scaled)
        # Per symbol, of the entry that costs least.
        self.least_bits = MODEL_BITS - math.log2(scaled.max())
        if self.length > 1:
            joint = joint_frequencies(frequencies, self.length)
            least = (MODEL_BITS - math.log2(joint.max())) / self.length
            self.least_bits = min(self.least_bits, least)
            self.joint = Model(joint)
            # Each row of `length` bytes is one integer: faster to look up.
            blocks = np.indices((self.size,) * self.length, np.uint8)
            rows = blocks.reshape(self.length, -1).T.copy()
            self._packed = rows.view(f"u{self.length}").ravel()

    def join(self, entries: np.ndarray) -> np.ndarray:
        """Entries i32[k * length] -> joint entries i32[k]."""
        columns = entries.reshape(-1, self.length).T
        joint = columns[0].copy()
        for column in columns[1:]:
            joint *= self.size
            joint += column
        return joint

    def part(self, joint: np.ndarray) -> np.ndarray:
        """Inverse of `join`, u8[k * length]."""
        return self._packed[joint].view(np.uint8)


@functools.lru_cache(maxsize=16)
def block_models(tables: CdfTables) -> list[BlockModel]:
    """One model per table; kept, since tables live as long as their codec."""
    return [BlockModel(frequencies) for frequencies in tables.split()]


def block_length(size: int) -> int:
    """How many entries are joined: the largest of 1, 2, 4, 8 with n^length <= 256."""
    return max(n for n in (1, 2, 4, 8) if n == 1 or size**n <= MAX_JOINT_ENTRIES)


def joint_frequencies(frequencies: np.ndarray, length: int) -> np.ndarray:
    """Frequencies of blocks, i64[n^length] of sum 2^24.

    The products of the entries' probabilities, rounded down but at least 1; what is
    missing to the sum, or too much, goes to the first of the largest.
    """
    shift = PRECISION_BITS * length - MODEL_BITS
    blocks = itertools.product(frequencies.tolist(), repeat=length)
    joint = np.array([max(math.prod(block) >> shift, 1) for block in blocks])
    joint[joint.argmax()] += MODEL_TOTAL - joint.sum()
    return joint
