"""What the user sees of a running sweep: how it stands; without a terminal, lines."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from launch.terminal.status_view import eta_in_words, jobs_in_words, live_view
from sweeps.driver import Driver
from sweeps.observer import Running
from sweeps.policy import Action, Ended, GiveUp, Start
from sweeps.status import SweepStatus
from sweeps.tasks import Task

REPORT_SECONDS = 30.0
_HOW = {"oom": "in twice the micro-batches", "host_oom": "with twice the memory"}


class Display:
    """An audience of the reporter; use as a context."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._reported = time.monotonic()

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, running: Running) -> None:
        if self._console.is_terminal:
            return
        task, number = running.task, running.attempt.number
        again = f", attempt {number}" * (number > 1)
        others = len(running.others)
        beside = f" and {others} other model{'s' * (others > 1)}" * (others > 0)
        self._print(f"started {task.job.stage} {escape(task.label)}{beside}{again}")

    def ended(self, task: Task, ended: Ended, action: Action) -> None:
        name = f"{task.job.stage} {escape(task.label)}"
        error = f": {escape(ended.error)}" if ended.error else ""
        if ended.outcome == "ok":
            self._print(f"[green]done[/] {name}")
        elif isinstance(action, Start):
            how = _HOW.get(ended.outcome, "again")
            self._print(f"[yellow]{ended.outcome}[/] {name}, starts {how}{error}")
        elif isinstance(action, GiveUp):
            self._print(f"[red]{action.status}[/] {name}{error}")

    def refused(self, node: str, reason: str) -> None:
        self._print(f"[red]no more jobs[/] for {escape(f'{node}: {reason}')}")

    def halted(self, stage: str, reason: str) -> None:
        self._print(f"[red]halted[/] {escape(reason)}")

    def tick(self, driver: Driver) -> None:
        """Nothing: the reporter shows."""

    def show(self, status: SweepStatus) -> None:
        now = time.monotonic()
        if self._console.is_terminal:
            self._live.update(live_view(self._console, status), refresh=True)
        elif now - self._reported >= REPORT_SECONDS:
            self._reported = now
            eta = "" if status.eta is None else f"; ends in {eta_in_words(status.eta)}"
            self._print(f"{jobs_in_words(status)}{eta}")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
