"""The state of a search on disk, so that an ended process costs a minute, not hours."""

from __future__ import annotations

import io
import logging
import shutil
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

    The state lies in `folder/STEP/search.npz`, as checkpoints of a training do.

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
        self._folder = Path(folder)
        self._earlier = [*map(Path, earlier), Path(folder)]
        self._every = every_seconds
        self._last = time.monotonic()

    def found(self, like: Any) -> tuple[int, Any] | None:
        """(steps done, state) of the search that went furthest, shaped as `like`.

        Files that are damaged, or of another search, are passed over.
        """
        paths = [path for folder in self._earlier for path in folder.glob(f"*/{FILE}")]
        for path in sorted(paths, key=lambda p: int(p.parent.name), reverse=True):
            state = self._read(path, like)
            if state is not None:
                return int(path.parent.name), state
        return None

    def is_due(self) -> bool:
        passed = time.monotonic() - self._last
        return self._every is not None and passed >= self._every

    def write(self, step: int, state: Any) -> None:
        """Replaces the state of this process; one of both is always whole.

        Raises:
          DiskFullError: no space left; the state before is still there.
        """
        leaves = jax.tree.leaves(state)
        arrays = {f"{i:04d}": leaf for i, leaf in enumerate(leaves)}
        path = self._folder / str(step) / FILE
        write_bytes_atomically(path, npz_bytes(arrays, compressed=False))
        for other in self._folder.glob(f"*/{FILE}"):
            if other != path:
                shutil.rmtree(other.parent, ignore_errors=True)
        self._last = time.monotonic()

    def _read(self, path: Path, like: Any) -> Any | None:
        leaves, tree = jax.tree.flatten(like)
        try:
            data = io.BytesIO(path.read_bytes())
            with np.load(data) as file:  # a zip file has a checksum of each array
                found = [file[f"{i:04d}"] for i in range(len(leaves))]
            if [np.shape(leaf) for leaf in leaves] != [leaf.shape for leaf in found]:
                raise ValueError("arrays of other shapes")
        except Exception as error:  # whatever damage makes of a zip file
            _log.warning("not resumed from %s: %s", path, error)
            return None
        return jax.tree.unflatten(tree, found)
