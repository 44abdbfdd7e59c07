"""What every task asks of its photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rdc.data.image_cache import CachedImages, cached_images


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


@dataclass(frozen=True)
class DecodedPhotographs:
    """Photographs that trainings see many times; all but `image` is theirs."""

    photographs: Any
    pixels: CachedImages

    def __len__(self) -> int:
        return len(self.photographs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.photographs, name)

    def image(self, i: int) -> np.ndarray:
        """u8[H,W,3]; raises as that of the photographs, where one is damaged."""
        found = self.pixels[i]
        return self.photographs.image(i) if found is None else found


def decoded(photographs: Any) -> Any:
    """The same ones, decoded once for all processes, as far as the cache has room."""
    paths = [photographs.path(i) for i in range(len(photographs))]
    pixels = cached_images(paths)
    return photographs if pixels is None else DecodedPhotographs(photographs, pixels)
