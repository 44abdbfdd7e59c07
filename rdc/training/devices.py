"""Data parallelism over the devices of this process, or of all hosts of a training.

    batch       cut along its first axis, a share per device
    parameters  and all else of the state: whole on every device

What is computed stays the same up to rounding: noise belongs to the images. Of several
processes, each brings its rows of a batch, and all run the same programs in the same
order: what one alone knows (its clock, its signals, its disk) becomes common knowledge
here before anything depends on it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rdc.specs.base import require

_log = logging.getLogger(__name__)
T = TypeVar("T")


class DataParallel:
    """Places states and batches on as many devices as divide the micro-batch.

    Args:
      micro_batch_size: images that are computed at once, on all devices together.
      devices: all by default, those of other hosts included.

    Attributes:
      hosts: processes that compute together.
      leads: this one writes what stays, and its state is what all begin with.

    Raises:
      ConfigError: the devices of several hosts do not divide the micro-batch.
    """

    def __init__(
        self, micro_batch_size: int, devices: Sequence[jax.Device] | None = None
    ):
        self.hosts = jax.process_count()
        self.leads = jax.process_index() == 0
        devices = _by_host() if devices is None else devices
        self.count = max(
            n for n in range(1, len(devices) + 1) if micro_batch_size % n == 0
        )
        require(
            self.hosts == 1 or self.count == len(devices),
            "the devices of several hosts share the images that are computed at once "
            "(train.batch_size over micro-batches) evenly",
            f"{len(devices)} devices and {micro_batch_size} images",
            "change train.batch_size or hardware.train.hosts",
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
        self._any = jax.jit(jnp.any, out_shardings=self._whole)
        self._said: jax.Array | None = None

    def rows(self, batch_size: int) -> range | None:
        """Of each batch, those that this process brings; None: all."""
        if self.hosts == 1:
            return None
        share = batch_size // self.hosts
        first = jax.process_index() * share
        return range(first, first + share)

    def replicate(self, state: Any) -> Any:
        """The state, equal in all processes, on every device."""
        return state if self.count == 1 else jax.device_put(state, self._whole)

    def divide(self, batch: Any) -> Any:
        """A batch, of which this process has its rows, with a share on every device."""
        if self.hosts > 1:
            return jax.make_array_from_process_local_data(self._cut, batch)
        return batch if self.count == 1 else jax.device_put(batch, self._cut)

    def own(self, state: Any) -> Any:
        """What `replicate` placed, for computations of this process alone."""
        if self.hosts == 1:
            return state
        return jax.tree.map(lambda whole: whole.addressable_data(0), state)

    def agreed(self, said: bool) -> bool:
        """Whether a process says so; all get the same answer.

        Of several hosts, the answer to the call before: none waits for the devices.
        """
        if self.hosts == 1:
            return said
        told = np.full(jax.local_device_count(), said)
        before = self._said
        self._said = self._any(jax.make_array_from_process_local_data(self._cut, told))
        return before is not None and bool(before)

    def from_first(self, arrays: T) -> T:
        """The arrays of the process that leads; others give some of the same shapes."""
        return (
            arrays if self.hosts == 1 else multihost_utils.broadcast_one_to_all(arrays)
        )

    def values_from_first(self, values: T) -> T:
        """The same for JSON-able values."""
        if self.hosts == 1:
            return values
        text = np.frombuffer(json.dumps(values).encode(), np.uint8)
        size = int(self.from_first(np.asarray(text.size)))
        padded = np.zeros(size, np.uint8)
        if self.leads:
            padded[:] = text
        return json.loads(self.from_first(padded).tobytes())


def _by_host() -> list[jax.Device]:
    """All devices; those of one host follow each other, as its rows of a batch do."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
