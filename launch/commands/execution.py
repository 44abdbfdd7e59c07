"""Runs tasks in OUT with signals, display and executor: what all commands share."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from types import FrameType

from rich.console import Console

from launch.terminal.display import Display
from sweeps.driver import Driver, SweepEnd
from sweeps.executor import Executor
from sweeps.lease import Lease
from sweeps.outputs import Outputs
from sweeps.policy import Limits
from sweeps.store_lease import StoreLease
from sweeps.tasks import Task


def execute(
    outputs: Outputs,
    tasks: Sequence[Task],
    executor: Executor,
    lease: Lease | StoreLease,
    console: Console,
    *,
    limits: Limits,
    budget_seconds: float | None = None,
    retry_failed: bool = False,
) -> SweepEnd:
    """Runs all tasks; SIGINT and SIGTERM stop with the state kept.

    A second signal ends the processes without waiting for their checkpoints.
    """
    with contextlib.closing(executor), Display(console) as display:
        driver = Driver(
            outputs,
            tasks,
            executor,
            lease,
            limits=limits,
            observer=display,
            budget_seconds=budget_seconds,
            retry_failed=retry_failed,
        )
        with _stopped_by_signals(driver, console):
            return driver.run()


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
