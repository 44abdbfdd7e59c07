"""What every task asks of its photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np


class Photographs(Protocol):
    """What networks learn from and are asked, with whatever is known of each.

    Attributes:
      folder: that they lie in.
      names: as in tables.
      classes: in the order of the networks' answers.
    """

    @property
    def folder(self) -> Path: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def data_sha256(self) -> str: ...

    def __len__(self) -> int: ...

    def image(self, i: int) -> np.ndarray: ...

    def path(self, i: int) -> Path: ...
