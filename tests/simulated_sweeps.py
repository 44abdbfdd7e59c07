"""Whole sweeps in simulated time, and what their reporter tells on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rdc.specs.timing import BenchmarkSpec
from sweeps.budget import spent_before
from sweeps.capacity import Resources
from sweeps.driver import Driver
from sweeps.grid import Grid
from sweeps.observer import SweepEnd
from sweeps.outputs import Outputs
from sweeps.plan import make_plan
from sweeps.policy import Limits
from sweeps.reporter import Reporter, first_status
from sweeps.status import SweepStatus
from sweeps.task_settings import ImageSet, StageSettings, TaskSettings
from sweeps.tasks import Task, make_tasks
from tests.simulated_slots import LeapingSlots


def tasks_of(
    jobs: int,
    stages: tuple[str, ...] = ("train",),
    resources: Resources | None = None,
) -> list[Task]:
    """Of so many models of one architecture."""
    grid = {
        "name": "simulated",
        "base": {"transform": "conv", "entropy_model": "factorized"},
        "blocks": [{"product": {"train.seed": list(range(jobs))}}],
    }
    images = ImageSet("images", "images", "00")
    settings = TaskSettings(
        stages=stages,
        train_set=images,
        eval_set=images,
        hardware_id="here",
        benchmark=BenchmarkSpec(),
        per_stage={"train": StageSettings(resources=resources or Resources())},
    )
    return make_tasks(
        make_plan(Grid.from_dict(grid), {"lmbda": 0.0125}, "00"), settings
    )


class Audience:
    """Of a reporter: keeps what it is shown, and notices.

    Attributes:
      notices: events and their messages.
    """

    def __init__(self) -> None:
        self.shown: list[SweepStatus] = []
        self.notices: list[tuple[str, str]] = []

    def started(self, running: Any) -> None: ...

    def ended(self, task: Any, ended: Any, action: Any) -> None: ...

    def refused(self, node: str, reason: str) -> None: ...

    def halted(self, stage: str, reason: str) -> None: ...

    def tick(self, driver: Driver) -> None: ...

    def show(self, status: SweepStatus) -> None:
        self.shown.append(status)

    def notify(
        self, event: str, message: str, status: SweepStatus, exit_code: int | None
    ) -> None:
        self.notices.append((event, message))


class Simulation:
    """A sweep whose jobs take so many seconds each.

    Attributes:
      seconds: that the last run took.
      seen: from its begin, when the reporter was asked, and what it told.
      took: real seconds of each answer.
      message: of the last run's end.
      began: by the driver's clock.
    """

    def __init__(self, outputs: Outputs, tasks: Sequence[Task]):
        self.outputs, self.tasks = outputs, tasks
        self.audience = Audience()
        self.seen: list[tuple[float, SweepStatus]] = []
        self.took: list[float] = []
        self.seconds, self.message, self.began = 0.0, "", 0.0

    def run(
        self, seconds: Mapping[str, float], look_every: int = 1, **options: Any
    ) -> SweepEnd:
        """Runs it.

        Args:
          seconds: by job_id.
          look_every: so many jobs that end, the reporter is asked.
          options: of the driver.
        """
        executor = LeapingSlots(lambda attempt: seconds[attempt.job_id])
        known = {task.job_id: task for task in self.tasks}
        self.seen.clear()
        self.took.clear()
        with self.outputs.lease() as lease:
            reporter = _Asked(
                self.outputs,
                known,
                first_status(self.outputs, "simulated", lease.holder),
                self.audience,
                self.audience.notify,
                executor.now,
            )
            reporter.simulation, reporter.look_every = self, look_every
            driver = Driver(
                self.outputs,
                self.tasks,
                executor,
                lease,
                limits=Limits(backoff_seconds=0.0),
                observer=reporter,
                spent=spent_before(self.outputs, self.tasks),
                clock=executor.now,
                **options,
            )
            self.began = executor.now()
            end = driver.run()
            self.seconds = executor.now() - self.began
            self.message = reporter.finish(driver, end)
        return end


class _Asked(Reporter):
    """A reporter that is asked by jobs, where others tell by the clock."""

    simulation: Simulation
    look_every: int

    def tick(self, driver: Driver) -> None:
        if len(driver.board.status) >= self.look_every * (
            len(self.simulation.seen) + 1
        ):
            began, now = time.perf_counter(), self._clock() - self.simulation.began
            self.simulation.seen.append((now, self.status(driver)))
            self.simulation.took.append(time.perf_counter() - began)
