"""Under which conditions times were taken, and whether these moved meanwhile."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import psutil

from rdc.system.backends import present_backend
from rdc.system.hardware import DeviceState, device_state

ANCHOR_CALLS = 5


class Anchor:
    """A product of two matrices: how fast the device is at the moment; and a pass over
    a large array: how fast its memory is.

    It does not depend on what is measured, so a change of its time is one of the
    device: of its clock, its temperature, or of who else computes on it.
    """

    def __init__(self) -> None:
        backend = present_backend()
        self._side = backend.anchor_side
        ones = jnp.ones((self._side, self._side), jnp.float32)
        self._operands = ones, ones / self._side
        self._product = jax.jit(jnp.matmul)
        self._written = jnp.zeros(backend.anchor_mb * 250_000, jnp.float32)
        self._passed = jax.jit(lambda x: x + 1, donate_argnums=0)  # in its place
        self.milliseconds()  # compiles
        self.memory_gb_per_s()

    def milliseconds(self) -> float:
        """Median of some calls."""
        times = []
        for _ in range(ANCHOR_CALLS):
            started = time.perf_counter()
            self._product(*self._operands).block_until_ready()
            times.append((time.perf_counter() - started) * 1000)
        return statistics.median(times)

    def memory_gb_per_s(self) -> float:
        """10^9 bytes per second, read and written; median of some passes."""
        times = []
        for _ in range(ANCHOR_CALLS):
            started = time.perf_counter()
            self._written = self._passed(self._written).block_until_ready()
            times.append(time.perf_counter() - started)
        return 2 * self._written.nbytes / statistics.median(times) / 1e9

    def gflops(self, milliseconds: float) -> float:
        """10^9 operations per second, of a time of the anchor."""
        return 2 * self._side**3 / milliseconds / 1e6


@dataclass
class Block:
    """What went on around some repeats.

    Attributes:
      drift: of the anchor, from before to after: 0.1 is a tenth slower.
      matrix_gflops: rate of the anchor's products, in the precision of the repeats.
      memory_gb_per_s: rate of the anchor's memory.
      others_busy_cores: of the host, that other processes kept busy meanwhile.
      device: clock and temperature after it.
    """

    drift: float = 0.0
    matrix_gflops: float = 0.0
    memory_gb_per_s: float = 0.0
    others_busy_cores: float = 0.0
    device: DeviceState = field(default_factory=DeviceState)


@contextmanager
def observed(anchor: Anchor) -> Iterator[Block]:
    """Measures the anchor before and after what is done inside."""
    block = Block()
    before = anchor.milliseconds()
    others, started = _others_seconds(), time.perf_counter()
    yield block
    seconds = time.perf_counter() - started
    block.others_busy_cores = max(0.0, (_others_seconds() - others) / seconds)
    after = anchor.milliseconds()
    block.drift = after / before - 1
    block.matrix_gflops = anchor.gflops((before + after) / 2)
    block.memory_gb_per_s = anchor.memory_gb_per_s()
    block.device = device_state()


def _others_seconds() -> float:
    """Processor time of all cores that was not this process's."""
    machine = psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    own = os.times()
    return sum(machine) - idle - own.user - own.system
