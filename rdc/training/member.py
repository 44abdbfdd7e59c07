"""One training at work: what it is, how far it came, and what its record says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flax import nnx

from rdc.errors import DivergedError
from rdc.jobs.job import TrainJob
from rdc.model import CompressionModel
from rdc.specs.training import TrainSpec
from rdc.training.checkpoints import Checkpoints
from rdc.training.journal import Journal
from rdc.training.step import TrainState

SKIPPED_IN_A_ROW = 10  # then back to the last checkpoint, once; then diverged


@dataclass
class Progress:
    """What a checkpoint keeps beside the weights."""

    train_seconds: float = 0.0
    input_seconds: float = 0.0  # of these, spent waiting for images
    checkpoint_seconds: float = 0.0  # of these, spent waiting for checkpoints
    loss_first: float | None = None
    loss_last: float | None = None
    skipped_steps: int = 0
    rollbacks: int = 0
    data_state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """The trained model and what its record says."""

    model: CompressionModel
    result: dict[str, Any]


@dataclass
class Run:
    """One training at work.

    Attributes:
      spec: the recipe, with the micro-batches of this attempt.
      resumed_from: step of the checkpoint that it started from.
      final: the state after the last step.
    """

    job: TrainJob
    spec: TrainSpec
    checkpoints: Checkpoints
    journal: Journal
    progress: Progress = field(default_factory=Progress)
    resumed_from: int = 0
    skipped_in_a_row: int = 0
    final: TrainState | None = None
    diverged: DivergedError | None = None

    def log(
        self, step: int, rows: Sequence[dict[str, float]], speed: dict[str, float]
    ) -> None:
        """Notes the steps of a window that ended at `step`, and how fast they went."""
        means, skipped = _means(rows)
        self.progress.skipped_steps += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + skipped if skipped else 0
        if means and not self.stuck:
            if self.progress.loss_first is None:
                self.progress.loss_first = means["loss"]
            self.progress.loss_last = means["loss"]
            self.journal.log(step, means | speed)

    @property
    def stuck(self) -> bool:
        """Too many non-finite steps in a row."""
        return self.skipped_in_a_row >= SKIPPED_IN_A_ROW

    def divergence(self, step: int) -> DivergedError:
        """The error of a run that is stuck."""
        return DivergedError(
            "loss and gradients stay finite",
            f"{SKIPPED_IN_A_ROW} non-finite steps in a row at step {step}, after "
            f"{self.progress.rollbacks} rollback",
            "lower train.learning_rate or train.clip_norm",
        )

    def trained(self, model: CompressionModel, environment: dict[str, int]) -> Trained:
        """The model with the final weights, or their average.

        Args:
          model: of this architecture, with any weights.
          environment: further columns of the record.
        """
        assert self.final is not None
        weights = self.final.params if not self.spec.ema else self.final.average
        progress = self.progress
        return Trained(
            nnx.merge(nnx.graphdef(model), weights),
            {
                "arch_id": self.job.arch_id,
                "data_sha256": self.job.data_sha256,
                "steps": int(self.final.step),
                "batch_size": self.spec.batch_size,
                "accumulate": self.spec.accumulate,
                "precision": self.spec.precision,
                **environment,
                "train_seconds": progress.train_seconds,
                "input_seconds": progress.input_seconds,
                "checkpoint_seconds": progress.checkpoint_seconds,
                "steps_per_second": self.spec.steps / progress.train_seconds,
                "loss_first": progress.loss_first,
                "loss_last": progress.loss_last,
                "resumed_from_step": self.resumed_from,
                "skipped_steps": progress.skipped_steps,
                "rollbacks": progress.rollbacks,
            },
        )


def _means(rows: Sequence[dict[str, float]]) -> tuple[dict[str, float], int]:
    """Means over the finite steps, and the number of others."""
    finite = [row for row in rows if not row["skipped"]]
    if not finite:
        return {}, len(rows)
    names = [name for name in rows[0] if name != "skipped"]
    means = {name: float(np.mean([row[name] for row in finite])) for name in names}
    return means, len(rows) - len(finite)
