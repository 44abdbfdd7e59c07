"""What a training says while it runs: JSONL, TensorBoard, progress."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from tensorboardX import SummaryWriter

from rdc.system.files import write_json_atomically
from rdc.training.summary import METRICS_FILE, PROGRESS_FILE, TENSORBOARD_FOLDER

PROGRESS_EVERY_SECONDS = 1.0


class Journal:
    """Writes `metrics.jsonl`, TensorBoard events and `progress.json` in `folder`.

    Args:
      total_steps: of the whole training, for the progress bar.
      bar: show it; a terminal has room for one.
    """

    def __init__(self, folder: Path, total_steps: int, bar: bool = True):
        self._folder, self._total = folder, total_steps
        self._jsonl = open(folder / METRICS_FILE, "a", buffering=1)  # noqa: SIM115
        self._tensorboard = SummaryWriter(str(folder / TENSORBOARD_FOLDER))
        self._last_progress = 0.0
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (bar and console.is_terminal),
        )
        self._task = self._bar.add_task("training", total=total_steps)
        self._bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._jsonl.close()
        self._tensorboard.close()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One line of means over the steps since the last one."""
        self._jsonl.write(json.dumps({"step": step, **metrics}) + "\n")
        for name, value in metrics.items():
            self._tensorboard.add_scalar(name, value, step)
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_SECONDS or step == self._total:
            self._last_progress = now
            self._write_progress(step, metrics)
        self._bar.update(
            self._task,
            completed=step,
            description=f"loss {metrics['loss']:.3f}, {metrics['bpp']:.3f} bpp",
        )

    def _write_progress(self, step: int, metrics: dict[str, Any]) -> None:
        progress = {
            "step": step,
            "steps": self._total,
            "loss": metrics["loss"],
            "bpp": metrics["bpp"],
            "updated_at": time.time(),
        }
        write_json_atomically(self._folder / PROGRESS_FILE, progress)
