"""Data parallelism over the devices that this process sees.

    batch       cut along its first axis, a share per device
    parameters  and all else of the state: whole on every device

What is computed stays the same up to rounding: noise belongs to the images.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_log = logging.getLogger(__name__)


class DataParallel:
    """Places states and batches on as many devices as divide the micro-batch.

    Args:
      micro_batch_size: images that are computed at once, on all devices together.
      devices: all local ones by default.
    """

    def __init__(
        self, micro_batch_size: int, devices: Sequence[jax.Device] | None = None
    ):
        devices = jax.local_devices() if devices is None else devices
        self.count = max(
            n for n in range(1, len(devices) + 1) if micro_batch_size % n == 0
        )
        if self.count < len(devices):
            _log.warning(
                "%d of %d devices: the others have no share of %d images",
                self.count,
                len(devices),
                micro_batch_size,
            )
        mesh = Mesh(np.asarray(devices[: self.count]), ("batch",))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._cut = NamedSharding(mesh, PartitionSpec("batch"))

    def replicate(self, state: Any) -> Any:
        """The state on every device."""
        return state if self.count == 1 else jax.device_put(state, self._whole)

    def divide(self, batch: Any) -> Any:
        """A batch with a share on every device."""
        return batch if self.count == 1 else jax.device_put(batch, self._cut)
