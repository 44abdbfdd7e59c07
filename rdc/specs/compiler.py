"""Devices that are not at hand, as their compiler knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, added, require


@dataclass(frozen=True, kw_only=True)
class GpuFacts(Spec):
    """A GPU, as XLA's compiler and a roofline of its kernels need to know it.

    Attributes:
      compute_capability: as (8, 0).
      cores: streaming multiprocessors.
      fpus_per_core: of float32.
      l2_mb, shared_kb: 2^20 and 2^10 bytes: of the device, and of a core at most.
      bandwidth_gb_per_s: 10^9 bytes of device memory.
      tflops: of products on the matrix units, in the precision of the target.
    """

    compute_capability: tuple[int, int]
    cores: int
    fpus_per_core: int
    l2_mb: int
    shared_kb: int
    bandwidth_gb_per_s: float
    tflops: float

    def __post_init__(self) -> None:
        for name in ("cores", "fpus_per_core", "l2_mb", "shared_kb"):
            value = getattr(self, name)
            require(value >= 1, f"hardware.compiler.gpu.{name} is at least 1", value)
        for name in ("bandwidth_gb_per_s", "tflops"):
            value = getattr(self, name)
            require(value > 0, f"hardware.compiler.gpu.{name} is positive", value)


PRECISIONS = {None: ("bfloat16", "highest"), "gpu": ("tensorfloat32",)}


@dataclass(frozen=True, kw_only=True)
class CompilerTarget(Spec):
    """What a program is compiled for, and what turns its cycles into time.

    Attributes:
      device_kind: as in the table `decode_estimates`, "TPU v4".
      topology: that the compiler knows, as "v4:2x2x1"; its first device is taken.
      clock_mhz: of a device.
      memory_gb: 10^9 bytes that a device has.
      precision: of products of float32: `bfloat16` is one pass of the matrix unit,
        what JAX does on a TPU unless it is asked; `highest` is float32 in several. On
        a GPU `tensorfloat32`, what JAX does there.
      note: what a device is, and where the figures are from.
      gpu: of a GPU; None: the device is a TPU.
    """

    device_kind: str
    topology: str
    clock_mhz: float
    memory_gb: float
    precision: Literal["bfloat16", "highest", "tensorfloat32"] = "bfloat16"
    note: str = ""
    gpu: GpuFacts | None = added(None)

    def __post_init__(self) -> None:
        for name in ("clock_mhz", "memory_gb"):
            value = getattr(self, name)
            require(value > 0, f"hardware.compiler.{name} is positive", value)
        for name in ("device_kind", "topology"):
            value = getattr(self, name)
            require(bool(value), f"hardware.compiler.{name} is named", repr(value))
        known = PRECISIONS["gpu" if self.gpu else None]
        rule = f"hardware.compiler.precision is {' or '.join(known)} on this device"
        require(self.precision in known, rule, self.precision)

    def milliseconds(self, cycles: int) -> float:
        """Of these cycles at the clock of the device."""
        return cycles / self.clock_mhz / 1e3
