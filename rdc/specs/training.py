"""How an architecture is trained, on what, and how its decoder is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.ops.distortions import DISTORTIONS
from rdc.specs.base import Spec, added, require, unknown_name


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Spec):
    """The training recipe: everything about it that `run_id` identifies.

    loss = bpp + lmbda * distortion; see `rdc.ops.distortions` for the scale of
    each, and so of `lmbda`.

    Attributes:
      warmup_steps: linear, from 0.
      warmup_share: the same as a share of the steps, in place of `warmup_steps`.
      decay_start: share of the steps after which the learning rate falls.
      clip_norm: of the global gradient norm.
      distortion: a name in `rdc.ops.distortions`.
      precision: in which the networks compute; weights, optimizer, likelihoods and
        loss are float32 always.
      accumulate: micro-batches per step; divides `batch_size`.
      remat: recompute the insides of blocks in the backward pass: less memory, more
        time.
      ema: decay of the moving average of the weights that becomes the model; 0: off.
      start: of the weights; `principal_components` makes a conv transform a transform
        codec from the first step on (`rdc.training.start`).
    """

    lmbda: float = 0.0125
    steps: int = 2_000_000
    batch_size: int = 32
    crop_px: int = 256
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    decay: Literal["constant", "cosine"] = "cosine"
    decay_start: float = 0.8
    final_learning_rate_ratio: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    distortion: str = added("mse")
    precision: Literal["float32", "bfloat16"] = added("float32")
    accumulate: int = added(1)
    remat: bool = added(False)
    ema: float = added(0.0)
    start: Literal["random", "principal_components"] = added("random")
    warmup_share: float = added(0.0)

    def __post_init__(self) -> None:
        for name in ("lmbda", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value > 0, f"train.{name} is positive", value)
        for name in ("steps", "batch_size", "crop_px", "accumulate"):
            value = getattr(self, name)
            require(value >= 1, f"train.{name} is at least 1", value)
        require(self.seed >= 0, "train.seed is not negative", self.seed)
        require(
            0 <= self.warmup_steps <= self.steps,
            "train.warmup_steps lies between 0 and train.steps",
            self.warmup_steps,
        )
        for name in ("warmup_share", "decay_start", "final_learning_rate_ratio"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"train.{name} lies between 0 and 1", value)
        require(
            not (self.warmup_steps and self.warmup_share),
            "the warm-up is train.warmup_steps or train.warmup_share, the other is 0",
            f"{self.warmup_steps} and {self.warmup_share}",
        )
        require(0 <= self.ema < 1, "train.ema is at least 0 and less than 1", self.ema)
        require(
            self.batch_size % self.accumulate == 0,
            f"train.accumulate divides train.batch_size ({self.batch_size})",
            self.accumulate,
        )
        if self.distortion not in DISTORTIONS:
            raise unknown_name("train.distortion", self.distortion, list(DISTORTIONS))
        least_px = DISTORTIONS[self.distortion].least_px
        require(
            self.crop_px >= least_px,
            f"train.crop_px is at least {least_px} for distortion {self.distortion}",
            self.crop_px,
        )

    @property
    def warmup(self) -> int:
        """Steps of the warm-up."""
        return self.warmup_steps or round(self.warmup_share * self.steps)


WINDOW_STEPS = 20  # metrics are means over so many, and between them nothing is saved


@dataclass(frozen=True, kw_only=True)
class CheckpointSpec(Spec):
    """When a training writes checkpoints, and how many stay; no part of identities.

    A training that ends or is asked to stop writes one in any case.

    Attributes:
      every_seconds: at most this much training is lost with the process, or more where
        writing would take over 2 % of the time. 0: after every `WINDOW_STEPS`, at any
        cost; None: never for the time that went by.
      every_steps: also at its multiples, at any cost; None: at none.
      keep: so many of the newest stay.
    """

    every_seconds: float | None = 60.0
    every_steps: int | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        seconds, steps = self.every_seconds, self.every_steps
        rule = "checkpoint.every_seconds is at least 0, or null"
        require(seconds is None or seconds >= 0, rule, seconds)
        require(
            steps is None or (steps > 0 and steps % WINDOW_STEPS == 0),
            f"checkpoint.every_steps is a positive multiple of {WINDOW_STEPS}, or null",
            steps,
        )
        require(self.keep >= 1, "checkpoint.keep is at least 1", self.keep)


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
