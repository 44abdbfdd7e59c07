"""How decode times are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec(Spec):
    """How decode times are taken: sizes and numbers of repeats."""

    height_px: int = 512
    width_px: int = 768
    warmup: int = 2
    repeats: int = 10
    precision: Literal["float32"] = "float32"

    def __post_init__(self) -> None:
        for name in ("height_px", "width_px", "repeats"):
            value = getattr(self, name)
            require(value >= 1, f"benchmark.{name} is at least 1", value)
        require(self.warmup >= 0, "benchmark.warmup is not negative", self.warmup)
