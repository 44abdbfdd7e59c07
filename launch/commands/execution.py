"""Runs tasks in OUT with signals, display and executor: what all commands share."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import FrameType

from rich.console import Console

from launch.config.settings import NotifySettings
from launch.terminal.display import Display
from launch.webhook import Webhook
from sweeps.budget import Budget, spent_before
from sweeps.driver import Driver
from sweeps.executor import Executor
from sweeps.lease import Lease
from sweeps.observer import SweepEnd
from sweeps.outputs import Outputs
from sweeps.policy import Limits
from sweeps.reporter import Reporter, first_status
from sweeps.store_lease import StoreLease
from sweeps.tasks import Task


def execute(
    outputs: Outputs,
    tasks: Sequence[Task],
    executor: Executor,
    lease: Lease | StoreLease,
    console: Console,
    *,
    grid: str,
    limits: Limits,
    budget: Budget | None = None,
    notify: NotifySettings | None = None,
    retry_failed: bool = False,
) -> SweepEnd:
    """Runs all tasks; SIGINT and SIGTERM stop with the state kept.

    A second signal ends the processes without waiting for their checkpoints.
    """
    url = None if notify is None else notify.webhook
    with (
        Webhook(url, lambda line: console.print(line, soft_wrap=True)) as webhook,
        contextlib.closing(executor),
        Display(console) as display,
    ):
        known = {task.job_id: task for task in tasks}
        first = first_status(outputs, grid, lease.holder)
        reporter = Reporter(outputs, known, first, display, webhook)
        driver = Driver(
            outputs,
            tasks,
            executor,
            lease,
            limits=limits,
            observer=reporter,
            budget=budget,
            spent=spent_before(outputs, tasks),
            retry_failed=retry_failed,
        )
        try:
            with _stopped_by_signals(driver, console):
                end = driver.run()
        except BaseException as error:
            reporter.broke(error)
            raise
        return replace(end, message=reporter.finish(driver, end))


@contextlib.contextmanager
def _stopped_by_signals(driver: Driver, console: Console) -> Iterator[None]:
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        driver.request_stop()
        console.print("stopping: running jobs save their state; again to end at once")

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
