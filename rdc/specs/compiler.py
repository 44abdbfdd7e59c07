"""Devices that are not at hand, as their compiler knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class CompilerTarget(Spec):
    """What a program is compiled for, and what turns its cycles into time.

    Attributes:
      device_kind: as in the table `decode_estimates`, "TPU v4".
      topology: that the compiler knows, as "v4:2x2x1"; its first device is taken.
      clock_mhz: of a device.
      memory_gb: 10^9 bytes that a device has.
      precision: of products of float32: `bfloat16` is one pass of the matrix unit,
        what JAX does on a TPU unless it is asked; `highest` is float32 in several.
      note: what a device is, and where the figures are from.
    """

    device_kind: str
    topology: str
    clock_mhz: float
    memory_gb: float
    precision: Literal["bfloat16", "highest"] = "bfloat16"
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("clock_mhz", "memory_gb"):
            value = getattr(self, name)
            require(value > 0, f"hardware.compiler.{name} is positive", value)
        for name in ("device_kind", "topology"):
            value = getattr(self, name)
            require(bool(value), f"hardware.compiler.{name} is named", repr(value))
        known = self.precision in ("bfloat16", "highest")
        rule = "hardware.compiler.precision is bfloat16 or highest"
        require(known, rule, self.precision)

    def milliseconds(self, cycles: int) -> float:
        """Of these cycles at the clock of the device."""
        return cycles / self.clock_mhz / 1e3
