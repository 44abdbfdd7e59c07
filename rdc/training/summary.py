"""What a training leaves beside its weights: files in its folder, a summary. No JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rdc.specs.base import Spec

CHECKPOINT_FOLDER = "checkpoint"
METRICS_FILE = "metrics.jsonl"
PROGRESS_FILE = "progress.json"
TENSORBOARD_FOLDER = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(Spec):
    """How a training went; columns of the table `runs`.

    Attributes:
      accumulate: micro-batches per step in the last attempt; more than the recipe's
        after an out-of-memory.
      devices: that shared each batch, in the last attempt, on all `hosts`.
      models_together: models that the last attempt's process trained at once;
        `train_seconds` and `steps_per_second` then tell of all of them.
      train_seconds: of all attempts that this result rests on, compilation included;
        of these `input_seconds` were spent waiting for images and
        `checkpoint_seconds` for checkpoints.
      steps_per_second: over `train_seconds`, steps that a rollback repeated included.
      loss_first, loss_last: means over the first and the last window of steps.
      skipped_steps, rollbacks: non-finite steps, and returns to a checkpoint.
    """

    steps: int
    batch_size: int
    accumulate: int
    devices: int
    models_together: int
    skipped_images: int
    skipped_steps: int
    rollbacks: int
    train_seconds: float
    input_seconds: float
    checkpoint_seconds: float
    steps_per_second: float
    loss_first: float | None
    loss_last: float | None
    hosts: int = 1
