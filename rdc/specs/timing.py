"""How decode times are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, added, require

# A device that was so much faster or slower after a block of repeats than before it is
# not one device: pages and tables say so.
NOTABLE_DRIFT = 0.1


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec(Spec):
    """How decode times are taken.

    Attributes:
      batch_size: images that are decoded together.
      precision: of products of float32, as `rdc.system.backends` has them; `auto` is
        what JAX takes on the device. Rows name the one that was taken.
      max_drift: a block of repeats is measured again when the anchor, a product of
        matrices before and after it, differs by more than this share.
      attempts: at most so many blocks; the last is kept, and its drift with it.
    """

    height_px: int = 512
    width_px: int = 768
    warmup: int = 2
    repeats: int = 10
    precision: Literal["auto", "highest", "tensorfloat32", "bfloat16"] = "auto"
    max_drift: float = NOTABLE_DRIFT
    attempts: int = 3
    batch_size: int = added(1)

    def __post_init__(self) -> None:
        for name in ("height_px", "width_px", "repeats", "attempts", "batch_size"):
            value = getattr(self, name)
            require(value >= 1, f"benchmark.{name} is at least 1", value)
        require(self.max_drift > 0, "benchmark.max_drift is positive", self.max_drift)
        require(self.warmup >= 0, "benchmark.warmup is not negative", self.warmup)
