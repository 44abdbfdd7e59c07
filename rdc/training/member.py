"""One model in training: what it is, how far it came, and its summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rdc.errors import DivergedError
from rdc.model import CompressionModel
from rdc.specs.model import ModelSpec
from rdc.training.checkpoints import Checkpoints
from rdc.training.journal import Journal
from rdc.training.step import TrainState
from rdc.training.summary import TrainingSummary

SKIPPED_IN_A_ROW = 10  # then back to the last checkpoint, once; then diverged


@dataclass(frozen=True)
class Training:
    """A model to train, and where.

    Attributes:
      folder: for metrics and checkpoints.
      resume_from: folders of earlier attempts, newest last, whose checkpoints serve.
    """

    spec: ModelSpec
    folder: Path
    resume_from: tuple[Path, ...] = ()


@dataclass(frozen=True)
class TrainedModel:
    """What a training made.

    Attributes:
      resumed_from_step: of the checkpoint that this attempt went on from; 0: none.
      restarted_because: why none of those that were there; None: there were none.
    """

    model: CompressionModel
    spec: ModelSpec
    summary: TrainingSummary
    resumed_from_step: int
    restarted_because: str | None = None


@dataclass
class Progress:
    """What a checkpoint keeps beside the weights.

    Attributes:
      computed_steps: in `train_seconds`, those that a rollback repeated included.
      input_seconds, checkpoint_seconds: of `train_seconds`, spent waiting for images
        and for checkpoints.
      window: metrics of the steps since the last multiple of the window.
    """

    train_seconds: float = 0.0
    computed_steps: int = 0
    input_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    loss_first: float | None = None
    loss_last: float | None = None
    skipped_steps: int = 0
    rollbacks: int = 0
    window: list[dict[str, float]] = field(default_factory=list)
    data_state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Member:
    """One of the models that a process trains.

    Attributes:
      resumed_from: step of the checkpoint that it started from.
      restarted_because: why it did not start from one that was there.
      final: the state after the last step.
    """

    spec: ModelSpec
    checkpoints: Checkpoints
    journal: Journal
    progress: Progress = field(default_factory=Progress)
    resumed_from: int = 0
    restarted_because: str | None = None
    skipped_in_a_row: int = 0
    final: TrainState | None = None
    diverged: DivergedError | None = None

    def note(self, rows: Sequence[dict[str, float]]) -> None:
        """Takes the metrics of steps that were done."""
        for row in rows:
            # JSON has no NaN, and means leave such steps out.
            self.progress.window.append({"skipped": 1.0} if row["skipped"] else row)
        self.progress.computed_steps += len(rows)

    def log(self, step: int, speed: dict[str, float]) -> None:
        """Ends a window at `step`: its means, and how fast its steps went."""
        progress = self.progress
        means, skipped = _means(progress.window)
        progress.window = []
        progress.skipped_steps += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + skipped if skipped else 0
        if means and not self.stuck:
            if progress.loss_first is None:
                progress.loss_first = means["loss"]
            progress.loss_last = means["loss"]
            self.journal.log(step, means | speed)

    @property
    def stuck(self) -> bool:
        """Too many non-finite steps in a row."""
        return self.skipped_in_a_row >= SKIPPED_IN_A_ROW

    def divergence(self, step: int) -> DivergedError:
        """The error of a training that is stuck."""
        return DivergedError(
            "loss and gradients stay finite",
            f"{SKIPPED_IN_A_ROW} non-finite steps in a row at step {step}, after "
            f"{self.progress.rollbacks} rollback",
            "lower train.learning_rate or train.clip_norm",
        )

    def trained(self, model: CompressionModel, **counts: int) -> TrainedModel:
        """The model with the final weights, or their average.

        Args:
          model: of this architecture, with any weights.
          counts: fields of the summary that all members share.
        """
        assert self.final is not None
        recipe, progress = self.spec.recipe, self.progress
        weights = self.final.average if recipe.ema else self.final.params
        summary = TrainingSummary(
            steps=int(self.final.step),
            batch_size=recipe.batch_size,
            skipped_steps=progress.skipped_steps,
            rollbacks=progress.rollbacks,
            train_seconds=progress.train_seconds,
            input_seconds=progress.input_seconds,
            checkpoint_seconds=progress.checkpoint_seconds,
            steps_per_second=progress.computed_steps / progress.train_seconds,
            loss_first=progress.loss_first,
            loss_last=progress.loss_last,
            **counts,
        )
        trained = nnx.merge(nnx.graphdef(model), weights)
        return TrainedModel(
            trained, self.spec, summary, self.resumed_from, self.restarted_because
        )


def _means(rows: Sequence[dict[str, float]]) -> tuple[dict[str, float], int]:
    """Means over the finite steps, and the number of others."""
    finite = [row for row in rows if not row["skipped"]]
    if not finite:
        return {}, len(rows)
    names = [name for name in finite[0] if name != "skipped"]
    means = {name: float(np.mean([row[name] for row in finite])) for name in names}
    return means, len(rows) - len(finite)
