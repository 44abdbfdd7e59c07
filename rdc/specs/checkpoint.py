"""When a training saves its state."""

from __future__ import annotations

from dataclasses import dataclass

from rdc.specs.base import Spec, require

WINDOW_STEPS = 20  # metrics are means over so many; checkpoints lie between them
MODEL_DTYPES = ("float32", "bfloat16", "compact")


@dataclass(frozen=True, kw_only=True)
class CheckpointSpec(Spec):
    """When a training writes checkpoints, and how many stay; no part of identities.

    A training that ends or is asked to stop writes one in any case, wherever it is.

    Attributes:
      every_seconds: at most this much training is lost with the process, or more where
        writing would take over 2 % of the time. 0: after every `WINDOW_STEPS`, at any
        cost; None: never for the time that went by.
      every_steps: also at its multiples, at any cost; None: at none.
      keep: so many of the newest stay, over all attempts.
      keep_finished: so many stay when the training is finished.
      model_dtype: of the weights of the finished model, one of `MODEL_DTYPES`.
        `bfloat16` halves its size and costs about 0.1 % of rate.
    """

    every_seconds: float | None = 60.0
    every_steps: int | None = None
    keep: int = 2
    keep_finished: int = 0
    model_dtype: str = "float32"

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
        finished = self.keep_finished
        require(finished >= 0, "checkpoint.keep_finished is not negative", finished)
        rule = f"checkpoint.model_dtype is one of {', '.join(MODEL_DTYPES)}"
        require(self.model_dtype in MODEL_DTYPES, rule, self.model_dtype)
