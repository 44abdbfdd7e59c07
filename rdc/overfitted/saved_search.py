"""The state of a search on disk, so that an ended process costs a minute, not hours."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rdc.system.arrays import npz_bytes
from rdc.system.files import write_bytes_atomically

FILE = "search.npz"
_log = logging.getLogger(__name__)


class SavedSearch:
    """Writes the state now and then, and finds the newest of earlier processes.

    Args:
      folder: of this process.
      earlier: folders of processes before, the newest last.
      every_seconds: between two states; None: only when the search is asked to end.
    """

    def __init__(
        self,
        folder: Path,
        earlier: Sequence[Path] = (),
        every_seconds: float | None = 60.0,
    ):
        self._path = Path(folder) / FILE
        self._earlier = [*map(Path, earlier), Path(folder)]
        self._every = every_seconds
        self._last = time.monotonic()

    def found(self, like: Any) -> tuple[int, Any] | None:
        """(steps done, state) of the search that went furthest, shaped as `like`.

        Files that are damaged, or of another search, are passed over.
        """
        states = [self._read(folder / FILE, like) for folder in self._earlier]
        return max((s for s in states if s), key=lambda s: s[0], default=None)

    def is_due(self) -> bool:
        passed = time.monotonic() - self._last
        return self._every is not None and passed >= self._every

    def write(self, step: int, state: Any) -> None:
        """Replaces the state of this process, as a whole.

        Raises:
          DiskFullError: no space left; the state before is still there.
        """
        leaves = jax.tree.leaves(state)
        arrays = {f"{i:04d}": leaf for i, leaf in enumerate(leaves)} | {"step": step}
        data = npz_bytes(arrays, compressed=False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(self._path, data)
        self._last = time.monotonic()

    def _read(self, path: Path, like: Any) -> tuple[int, Any] | None:
        if not path.is_file():
            return None
        leaves, tree = jax.tree.flatten(like)
        try:
            data = io.BytesIO(path.read_bytes())
            with np.load(data) as file:  # a zip file has a checksum of each array
                found = [file[f"{i:04d}"] for i in range(len(leaves))]
                step = int(file["step"])
            if [np.shape(leaf) for leaf in leaves] != [leaf.shape for leaf in found]:
                raise ValueError("arrays of other shapes")
        except Exception as error:  # whatever damage makes of a zip file
            _log.warning("not resumed from %s: %s", path, error)
            return None
        return step, jax.tree.unflatten(tree, found)
