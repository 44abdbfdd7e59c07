"""Follows a driver, and tells how its sweep stands: an audience, and `OUT/status.json`.

It never holds the driver up: a status is made the more rarely the longer it takes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from rdc.errors import ExitCode, RdcError
from rdc.jobs.layout import LOG_FILE, STATUS_FILE, attempt_folder
from sweeps.capacity import Capacity, Resources
from sweeps.driver import Driver
from sweeps.forecast import AtWork, Forecast, Part, Rest
from sweeps.lease import LeaseLostError
from sweeps.observer import Observer, Running, SweepEnd
from sweeps.outputs import Outputs
from sweeps.policy import Action, Ended, GiveUp, Promote
from sweeps.status import (
    End,
    Eta,
    Failure,
    NodeStatus,
    RunningStatus,
    StageStatus,
    SweepStatus,
    read_status,
)
from sweeps.tasks import Task

SHOW_SECONDS = 1.0
_RARER = 50  # times as long as a status takes
_MOST_FAILURES = 10
_LAST_SECONDS = 10.0  # for the last status to arrive in a store


class Audience(Observer, Protocol):
    """An observer that is shown how the sweep stands, too."""

    def show(self, status: SweepStatus) -> None: ...


class Notify(Protocol):
    """Tells somebody who does not look."""

    def __call__(
        self, event: str, message: str, status: SweepStatus, exit_code: int | None
    ) -> None:
        """What happened: `end`, `pause` or `breaker`, a stage that was halted."""


class Reporter:
    """An observer of one driver.

    Args:
      status: what is known before the driver begins: whose it is, and the failures
        that earlier drivers met.
      clock: that of the driver.
    """

    def __init__(
        self,
        outputs: Outputs,
        tasks: Mapping[str, Task],
        status: SweepStatus,
        audience: Audience,
        notify: Notify,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._outputs, self._status = outputs, status
        self._audience, self._notify, self._clock = audience, notify, clock
        self._forecast = Forecast(tasks)
        self._learnt_earlier = False
        self._ends: list[Part] = []  # that the forecast has not learnt from
        self._began = clock()
        self._running: dict[str, Running] = {}  # those beside the first one, too
        self._nodes: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._halted: dict[str, str] = {}
        self._shows_at = self._posts_at = 0.0

    def started(self, running: Running) -> None:
        for task in (running.task, *(other for other, _ in running.others)):
            self._running[task.job_id] = running
        self._audience.started(running)

    def ended(self, task: Task, ended: Ended, action: Action) -> None:
        running = self._running.pop(task.job_id)
        self._nodes.pop(task.job_id, None)
        if isinstance(action, Promote):
            seconds = (self._clock() - running.began) / (1 + len(running.others))
            self._ends.append(Part(task.job_id, seconds, running.left))
        if ended.outcome != "ok":
            self._note(task, ended, action)
        self._audience.ended(task, ended, action)

    def _note(self, task: Task, ended: Ended, action: Action) -> None:
        job = task.job.folder(self._outputs.folder).relative_to(self._outputs.folder)
        failure = Failure(
            stage=task.job.stage,
            label=task.label,
            outcome=ended.outcome,
            error=ended.error or "",
            log=f"{self._outputs.name}/{attempt_folder(job, ended.number) / LOG_FILE}",
            at=time.time(),
            status=action.status if isinstance(action, GiveUp) else "",
        )
        failures = (failure, *self._status.failures)[:_MOST_FAILURES]
        self._status = replace(self._status, failures=failures)

    def refused(self, node: str, reason: str) -> None:
        self._refused[node] = reason
        self._audience.refused(node, reason)

    def halted(self, stage: str, reason: str) -> None:
        self._halted[stage] = reason
        self._audience.halted(stage, reason)
        self._notify("breaker", reason, self._status, None)

    def tick(self, driver: Driver) -> None:
        now = time.monotonic()
        if now < self._shows_at:
            return
        status = self.status(driver)
        self._audience.show(status)
        if now >= self._posts_at:
            self._outputs.post(self._outputs.folder / STATUS_FILE, status.to_dict())
            self._posts_at = now + self._outputs.post_seconds
        took = time.monotonic() - now
        self._shows_at = now + max(SHOW_SECONDS, _RARER * took)

    def finish(self, driver: Driver, end: SweepEnd) -> str:
        """The driver stopped; returns why, and what is missing."""
        status = self.status(driver)
        message = "; ".join(filter(None, [end.message, _missing(status)]))
        self._finish(status, end.exit_code, message)
        return message

    def broke(self, error: BaseException) -> None:
        """The driver stopped for an error of its own."""
        code = ExitCode.CRASHED
        if isinstance(error, KeyboardInterrupt):
            code = ExitCode.INTERRUPTED
        elif isinstance(error, RdcError):
            code = error.exit_code
        message = str(error) or type(error).__name__
        status = replace(self._status, running=(), updated_at=time.time())
        self._finish(status, code, message, posts=not isinstance(error, LeaseLostError))

    def _finish(
        self, status: SweepStatus, code: ExitCode, message: str, posts: bool = True
    ) -> None:
        status = replace(status, end=End(exit_code=int(code), message=message))
        self._audience.show(status)
        if posts:  # else OUT is another driver's
            path = self._outputs.folder / STATUS_FILE
            self._outputs.post(path, status.to_dict(), _LAST_SECONDS)
        event = "pause" if code == ExitCode.DISK_FULL else "end"
        self._notify(event, message, status, int(code))

    def status(self, driver: Driver) -> SweepStatus:
        """How the sweep stands now."""
        self._learn(driver)
        counts, spent = driver.board.counts_by_stage(), driver.device_seconds()
        for running in driver.running.values():
            own = counts[running.task.job.stage]
            own["running"] += 1 + len(running.others)
            own["pending"] -= 1 + len(running.others)
        stages = [
            StageStatus(
                stage=stage,
                counts={state: n for state, n in counts[stage].items() if n},
                device_seconds=round(spent.get(stage, 0.0), 3),
                halted=self._halted.get(stage, ""),
            )
            for stage in dict.fromkeys([*counts, *spent])
        ]
        to_come = list(driver.board.to_come())
        alive = [*to_come, *(running.task for running in driver.running.values())]
        wanted = Counter(task.resources for task in alive)
        # A finished sweep asks no cluster.
        capacity = driver.executor.capacity() if wanted else Capacity(())
        slots = {resources: max(1, capacity.slots(resources)) for resources in wanted}
        running_now = [self._running_status(driver, r) for r in driver.running.values()]
        self._status = replace(
            self._status,
            stages=tuple(stages),
            seconds=round(self._clock() - self._began, 3),
            updated_at=time.time(),
            slots=slots[wanted.most_common(1)[0][0]] if wanted else 0,
            running=tuple(running_now),
            nodes=self._node_statuses(),
            budget_device_seconds=driver.budget.device_seconds,
            eta=self._eta(driver, to_come, running_now, slots),
        )
        return self._status

    def _learn(self, driver: Driver) -> None:
        if not self._learnt_earlier:
            self._learnt_earlier = True
            for part in driver.board.earlier:
                self._forecast.learn(part)
        for part in self._ends:
            self._forecast.learn(part)
        self._ends.clear()

    def _running_status(self, driver: Driver, running: Running) -> RunningStatus:
        job_id, attempt = running.task.job_id, running.attempt
        if not self._nodes.get(job_id):
            self._nodes[job_id] = driver.executor.node_of(attempt)
        progress = driver.progress(running)
        return RunningStatus(
            stage=running.task.job.stage,
            label=running.task.label,
            job_id=job_id,
            attempt=attempt.number,
            seconds=round(self._clock() - running.began, 3),
            others=len(running.others),
            node=self._nodes[job_id],
            **{name: progress.get(name) for name in ("step", "steps", "loss", "bpp")},
        )

    def _node_statuses(self) -> tuple[NodeStatus, ...]:
        running = Counter(node for node in self._nodes.values() if node)
        return tuple(
            NodeStatus(
                name=name, running=running[name], refused=self._refused.get(name, "")
            )
            for name in sorted({*running, *self._refused})
        )

    def _eta(
        self,
        driver: Driver,
        to_come: Sequence[Task],
        running_now: Iterable[RunningStatus],
        slots: Mapping[Resources, int],
    ) -> Eta | None:
        at_work = []
        for status in running_now:
            began_with = self._running[status.job_id].left
            left = began_with
            if status.step is not None and status.steps:
                left = min(began_with, 1 - status.step / status.steps)
            jobs = 1 + status.others
            part = Part(status.job_id, status.seconds / jobs, began_with - left)
            at_work.append(AtWork(part, left, jobs))
        waiting = [task for task in to_come if task.job_id not in self._running]
        shares = {resources: 1 / number for resources, number in slots.items()}
        return self._forecast.eta(Rest(at_work, waiting, shares))


def first_status(outputs: Outputs, grid: str, holder: Mapping[str, Any]) -> SweepStatus:
    """What is known before a driver begins.

    Args:
      holder: of its lease.
    """
    earlier = read_status(outputs.folder)
    return SweepStatus(
        grid=grid,
        out=outputs.name,
        stages=(),
        driver=holder["token"],
        host=holder["host"],
        pid=holder["pid"],
        failures=() if earlier is None else earlier.failures,
    )


def _missing(status: SweepStatus) -> str:
    """What is left to do, where there is any; empty: nothing."""
    jobs = status.counts["pending"]
    if not jobs or status.eta is None:
        return f"{jobs} jobs are missing" if jobs else ""
    hours = status.eta.device_seconds / 3600
    about = f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"
    return f"{jobs} jobs are missing, about {about} device-hours"
