"""A sweep of tiny jobs on a worker that fails on request."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from launch.executors.child import ChildSettings
from launch.executors.local import LocalExecutor
from rdc.jobs.records import Record
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from sweeps.capacity import Resources
from sweeps.driver import Driver
from sweeps.executor import Executor
from sweeps.grid import Grid
from sweeps.observer import SweepEnd
from sweeps.outputs import Outputs
from sweeps.plan import make_plan
from sweeps.policy import Limits
from sweeps.task_settings import ImageSet, StageSettings, TaskSettings
from sweeps.tasks import Task, make_tasks

WORKER = Path(__file__).with_name("fault_worker.py")
# Processes get as long to save their state as the slowest machine needs.
LIMITS = Limits(backoff_seconds=0.01, grace_seconds=120.0)


class Silent:
    """An observer that only keeps the actions."""

    def __init__(self) -> None:
        self.actions: list = []
        self.refused_nodes: list[tuple[str, str]] = []

    def started(self, running) -> None: ...

    def ended(self, task, ended, action) -> None:
        self.actions.append((task.job.stage, ended.outcome, action))

    def refused(self, node: str, reason: str) -> None:
        self.refused_nodes.append((node, reason))

    def halted(self, stage: str, reason: str) -> None: ...

    def tick(self, driver) -> None: ...


class Lab:
    """A folder with faults, a journal and the OUT of one sweep.

    Args:
      outputs: OUT; None: a folder of the lab.
    """

    def __init__(
        self,
        folder: Path,
        jobs: int = 2,
        steps: int = 3,
        outputs: Outputs | None = None,
    ):
        self.outputs = outputs or Outputs(folder / "out")
        self.folder, self.out = folder, self.outputs.folder
        self.jobs, self.steps = jobs, steps
        # Other sweeps may hold cores of this machine: these locks are the lab's own.
        self.settings = ChildSettings(
            (sys.executable, str(WORKER), str(folder)), locks=folder / "locks"
        )
        self.observer = Silent()
        folder.mkdir(parents=True, exist_ok=True)
        self.faults({})

    def faults(self, faults: dict[str, list[str]]) -> None:
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def hold(self, step: int | None) -> None:
        """Lets no training go beyond a step; None lets them go on."""
        path = self.folder / "hold"
        if step is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(str(step))

    def tasks(
        self,
        stages: tuple[str, ...] = ("train",),
        weights: str = "trained",
        timeout_hours: float | None = None,
        gpus: float = 0.0,
        cpus: int | None = 1,
    ) -> list[Task]:
        grid = {
            "name": "lab",
            "base": {"transform": "conv", "entropy_model": "factorized"},
            "blocks": [{"product": {"train.seed": list(range(self.jobs))}}],
        }
        train = {"lmbda": 0.0125, **Recipe(steps=self.steps).to_dict()}
        images = ImageSet("images", "images", "00")
        settings = TaskSettings(
            stages=stages,
            train_set=images,
            eval_set=images,
            hardware_id="here",
            benchmark=BenchmarkSpec(),
            weights=weights,
            per_stage={
                "train": StageSettings(
                    resources=Resources(cpus=cpus, gpus=gpus),
                    timeout_hours=timeout_hours,
                ),
                "benchmark": StageSettings(
                    resources=Resources(cpus=None, exclusive=True)
                ),
            },
        )
        return make_tasks(make_plan(Grid.from_dict(grid), train, "00"), settings)

    def driver(self, executor: Executor, tasks: list[Task], **options) -> Driver:
        options = {"limits": LIMITS, "observer": self.observer, **options}
        self._executor, self._lease = executor, self.outputs.lease()
        return Driver(self.outputs, tasks, executor, self._lease, **options)

    def run_driver(self, driver: Driver) -> SweepEnd:
        with self._lease:
            try:
                self.outputs.refresh()
                return driver.run()
            finally:
                self._executor.close()

    def run(self, executor: Executor, tasks: list[Task], **options) -> SweepEnd:
        return self.run_driver(self.driver(executor, tasks, **options))

    def journal(self, event: str = "") -> list[str]:
        path = self.folder / "journal.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if event in line]

    def steps_done(self) -> Counter[str]:
        """How often each step of each training was done."""
        lines = [line.split() for line in self.journal(" step ")]
        return Counter(f"{key} {step}" for _, key, _, _, step in lines)

    def records(self, kind: str = "runs") -> list[Record]:
        from rdc.system.files import read_json

        paths = sorted((self.out / kind).glob("*/*/record.json"))
        return [Record.from_dict(read_json(path)) for path in paths]


def run(lab: Lab, stages=("train",), weights="trained", timeout_hours=None, **options):
    """A sweep of the lab on this machine."""
    tasks = lab.tasks(stages, weights, timeout_hours)
    return lab.run(LocalExecutor(lab.settings), tasks, **options)
