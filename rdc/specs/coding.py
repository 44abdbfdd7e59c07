"""How bitstreams are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, require

Numerics = Literal["native", "exact"]

# Of a file's rate, which is a byte, per operating point: rates between two are coded
# with gains between theirs.
RATE_STEPS = 16
MAX_RATES = 256 // RATE_STEPS

MAX_EFFORT = 3  # see `rdc.codec.refinement`


@dataclass(frozen=True, kw_only=True)
class CodecSettings(Spec):
    """Choices of a learned codec that change its bytes or its time.

    Every measurement carries them: results under different settings never share a
    mean, nor replace each other.

    Attributes:
      coder: the entropy coder, see `rdc.entropy_coders.coders`.
      numerics: how the networks that encoder and decoder share are computed, see
        `rdc.codec.numerics`. Studies code and decode on one device, whose `native`
        floating point their decode times are about.
      effort: how long the encoder searches, 0 to 3; the decoder does not change. See
        docs/results/effort.md for what it saves and costs.
    """

    coder: Literal["range", "tfc", "rans"] = "range"
    numerics: Numerics = "native"
    effort: int = 0

    def __post_init__(self) -> None:
        require(
            0 <= self.effort <= MAX_EFFORT,
            f"codec.effort is 0 to {MAX_EFFORT}",
            self.effort,
        )


@dataclass(frozen=True, kw_only=True)
class OperatingPoint(Spec):
    """One of the rates that a codec offers.

    Attributes:
      rate: its number, from 0.
      lmbda: weight of the distortion that a learned model was trained with.
      distortion: what lmbda weighs, a name in `rdc.ops.distortions`.
      setting: of a classical codec, its quality parameter.
    """

    rate: int = 0
    lmbda: float | None = None
    distortion: str = "mse"
    setting: float | None = None
