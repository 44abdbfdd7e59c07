"""Learning curves, from the journals of a sweep's trainings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rdc.jobs.job import TrainJob
from rdc.jobs.layout import ATTEMPTS_FOLDER, METRICS_FILE, job_folder

POINTS = 100  # that are kept of each training
COLUMNS = ("run_id", "step", "loss")


def learning_curves(out: Path, run_ids: Iterable[str]) -> pd.DataFrame:
    """`run_id step loss`: training loss, means over a hundredth of the steps.

    Attempts of a training follow each other; where one repeats steps of an earlier one,
    the later counts. Runs whose journals are gone are left out.
    """
    parts = [_curve(out, run_id) for run_id in run_ids]
    found = [part for part in parts if len(part)]
    return pd.concat(found or parts[:1], ignore_index=True)


def _curve(out: Path, run_id: str) -> pd.DataFrame:
    attempts = job_folder(out, TrainJob.folder_name, run_id) / ATTEMPTS_FOLDER
    losses: dict[int, float] = {}
    for path in sorted(attempts.glob(f"*/{METRICS_FILE}"), key=_number):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # cut where the process ended
                continue
            losses[row["step"]] = row["loss"]
    table = pd.DataFrame(sorted(losses.items()), columns=["step", "loss"])
    if len(table) > POINTS:
        group = (table.index * POINTS) // len(table)
        table = table.groupby(group).agg({"step": "last", "loss": "mean"})
    return table.assign(run_id=run_id)[list(COLUMNS)].astype({"run_id": "str"})


def _number(path: Path) -> int:
    return int(path.parent.name)
