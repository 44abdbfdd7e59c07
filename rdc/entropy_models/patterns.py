"""Parts of the latents that lie in the pattern of 2x2 positions.

In every pass of a spatial prior, each position gives one group of channels:

    checkerboard, 2 groups     0 1   1 0
                               1 0   0 1
    four passes, 4 groups      0 1   3 2   2 3   1 0
                               2 3   1 0   0 1   3 2

so that a part is a dense map of a group's width, and after the last pass all groups of
all positions are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

Groups = tuple[tuple[int, int], tuple[int, int]]  # by parity of row and column

CHECKERBOARD: tuple[Groups, ...] = (((0, 1), (1, 0)), ((1, 0), (0, 1)))
QUADTREE: tuple[Groups, ...] = (
    ((0, 1), (2, 3)),
    ((3, 2), (1, 0)),
    ((2, 3), (0, 1)),
    ((1, 0), (3, 2)),
)


@dataclass(frozen=True)
class Pattern:
    """The part of one pass.

    Attributes:
      groups: which group of channels a position gives, by the parity of its row and
        column.
    """

    groups: Groups

    @property
    def num_groups(self) -> int:
        return 1 + max(max(row) for row in self.groups)

    def select(self, y: Any) -> Any:
        """f[...,h,w,C] -> the part, f[...,h,w,C / groups]; h and w even."""
        xp = np if isinstance(y, np.ndarray) else jnp
        parts = self._split(y)
        of_position = self._of_positions(*y.shape[-3:-1])
        part = parts[0]
        for group in range(1, len(parts)):
            part = xp.where(of_position == group, parts[group], part)
        return part

    def place(self, part: Any, y_hat: Any | None) -> Any:
        """`y_hat` decoded so far (None before the first part) with the part added:
        f[...,h,w,C], zero where nothing was decoded.

        Arrays of NumPy give one of NumPy: the codec's loop is on the host.
        """
        on_host = (isinstance(a, np.ndarray) for a in (part, y_hat) if a is not None)
        xp = np if all(on_host) else jnp
        of_position = self._of_positions(*part.shape[-3:-1])
        nothing = xp.zeros_like(part)
        before = [nothing] * self.num_groups if y_hat is None else self._split(y_hat)
        placed = [
            xp.where(of_position == group, part, before[group])
            for group in range(self.num_groups)
        ]
        return xp.concatenate(placed, axis=-1)

    def _split(self, y: Any) -> list[Any]:
        width = y.shape[-1] // self.num_groups
        return [y[..., g * width : (g + 1) * width] for g in range(self.num_groups)]

    def _of_positions(self, height: int, width: int) -> np.ndarray:
        """i32[h,w,1]."""
        tiles = -(-height // 2), -(-width // 2)
        return np.tile(np.array(self.groups, np.int32), tiles)[:height, :width, None]
