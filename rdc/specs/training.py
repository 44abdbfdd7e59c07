"""How an architecture is trained, on what, and how its decoder is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Spec):
    """The training recipe: everything about it that `run_id` identifies.

    loss = bpp + lmbda * mse_255, the mean squared error on the 0-255 scale averaged
    over pixels and channels.
    """

    lmbda: float = 0.0125
    steps: int = 2_000_000
    batch_size: int = 32
    crop_px: int = 256
    learning_rate: float = 1e-4
    warmup_steps: int = 0  # linear, from 0
    decay: Literal["constant", "cosine"] = "cosine"
    decay_start: float = 0.8  # share of the steps at the full learning rate
    final_learning_rate_ratio: float = 0.01
    clip_norm: float = 1.0  # of the global gradient norm
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lmbda", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value > 0, f"train.{name} is positive", value)
        for name in ("steps", "batch_size", "crop_px"):
            value = getattr(self, name)
            require(value >= 1, f"train.{name} is at least 1", value)
        require(self.seed >= 0, "train.seed is not negative", self.seed)
        require(
            0 <= self.warmup_steps <= self.steps,
            "train.warmup_steps lies between 0 and train.steps",
            self.warmup_steps,
        )
        for name in ("decay_start", "final_learning_rate_ratio"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"train.{name} lies between 0 and 1", value)


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
