"""Which part of the latents a coding step codes, and where it goes back to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Channels:
    """A run of channels; steps of this kind come in the order of the channels."""

    first: int
    end: int

    def select(self, y: Any) -> Any:
        """f[..., C] -> the part, f[..., end - first]."""
        return y[..., self.first : self.end]

    def place(self, part: Any, y_hat: Any | None) -> Any:
        """`y_hat` decoded so far (None before the first part) with the part added.

        Arrays of NumPy give one of NumPy: the codec's loop is on the host.
        """
        if y_hat is None:
            return part
        host = isinstance(part, np.ndarray) and isinstance(y_hat, np.ndarray)
        return (np if host else jnp).concatenate([y_hat, part], axis=-1)


def channel_runs(widths: tuple[int, ...]) -> list[Channels]:
    """Consecutive runs of these widths."""
    runs, first = [], 0
    for width in widths:
        runs.append(Channels(first, first + width))
        first += width
    return runs
