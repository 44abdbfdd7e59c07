"""How an architecture is trained, whatever the rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rdc.ops.distortions import DISTORTIONS
from rdc.specs.base import Spec, added, require, unknown_name


@dataclass(frozen=True, kw_only=True)
class Recipe(Spec):
    """The training recipe, whatever the rate: `rdc.specs.model` has the lambdas.

    loss = bpp + lmbda * distortion; see `rdc.ops.distortions` for the scale of
    each, and so of `lmbda`.

    Attributes:
      warmup_steps: linear, from 0; where it is 0, `warmup_share` of the steps.
      decay: of the learning rate; `halvings`: after 5, 9, 13 and 17 of 20 parts of the
        steps, as EVC's.
      decay_start: share of the steps after which a cosine falls.
      clip_norm: of the global gradient norm.
      distortion: a name in `rdc.ops.distortions`.
      precision: in which the networks compute; weights, optimizer, likelihoods and
        loss are float32 always.
      accumulate: micro-batches per step; divides `batch_size`.
      remat: recompute the insides of blocks in the backward pass: less memory, more
        time.
      ema: decay of the moving average of the weights that becomes the model; 0: off.
      start: of the weights; `principal_components` makes a transform codec of every
        architecture before the first step (`rdc.training.start`).
      kernel_basis: in which Adam scales the weights of kernels
        (`rdc.training.optimizers`).
      flips: crops are mirrored left to right, every second one.
      method: `mask_decay` begins with the decay of a wider teacher to this model
        (`rdc.training.mask_decay`), then trains on as `plain` does.
      trained: `encoder` trains the analysis transform alone, of several the last one.
      decay_share: of the steps, with masks; at a constant learning rate.
      decay_rate: of the masks per step; 0: so that they get there, 10 over those steps.
      weight_decay: of AdamW, times the learning rate; 0: Adam.
      upscaling: crops are enlarged by a random factor from 1 to this; training
        photographs that were made smaller have more detail per pixel than others.
    """

    steps: int = 2_000_000
    batch_size: int = 32
    crop_px: int = 256
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    decay: Literal["constant", "cosine", "halvings"] = "cosine"
    decay_start: float = 0.8
    final_learning_rate_ratio: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    distortion: str = "mse"
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    remat: bool = False
    ema: float = 0.0
    start: Literal["random", "principal_components"] = "random"
    warmup_share: float = 0.0
    kernel_basis: Literal["pixels", "frequencies"] = added("pixels")
    flips: bool = added(False)
    upscaling: float = added(1.0)
    method: Literal["plain", "mask_decay"] = added("plain")
    trained: Literal["all", "encoder"] = added("all")
    decay_share: float = added(0.3)
    decay_rate: float = added(0.0)
    weight_decay: float = added(0.0)

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip_norm"):
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
        shares = ("warmup_share", "decay_start", "final_learning_rate_ratio")
        for name in (*shares, "decay_share", "decay_rate", "weight_decay"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"train.{name} lies between 0 and 1", value)
        require(
            1 <= self.upscaling <= 4,
            "train.upscaling lies between 1 and 4",
            self.upscaling,
        )
        require(0 <= self.ema < 1, "train.ema is at least 0 and less than 1", self.ema)
        require(
            not self.weight_decay or self.kernel_basis == "pixels",
            "train.weight_decay is of kernels in pixels (train.kernel_basis)",
            self.kernel_basis,
        )
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

    def identity(self) -> dict[str, Any]:
        """Without what only mask decay has, unless it decays masks."""
        values = super().identity()
        if self.method != "mask_decay":
            values.pop("decay_share", None)
            values.pop("decay_rate", None)
        return values

    @property
    def masked_steps(self) -> int:
        """Steps of mask decay, before those of the model itself."""
        if self.method != "mask_decay":
            return 0
        return round(self.decay_share * self.steps)

    @property
    def warmup(self) -> int:
        """Steps of the warm-up."""
        return self.warmup_steps or round(self.warmup_share * self.steps)
