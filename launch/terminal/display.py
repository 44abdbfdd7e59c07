"""What the user sees of a running sweep: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from sweeps.driver import Driver, Running
from sweeps.policy import Action, Ended, GiveUp, Start
from sweeps.tasks import Task

REFRESH_SECONDS = 0.5
REPORT_SECONDS = 30.0
_HOW = {"oom": "in twice the micro-batches", "host_oom": "with twice the memory"}


class Display:
    """An observer of the driver; use as a context."""

    def __init__(self, console: Console):
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._total = self._progress.add_task("jobs", total=None, note="")
        self._bars: dict[str, TaskID] = {}
        self._refreshed = self._reported = time.monotonic()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, running: Running) -> None:
        task = running.task
        again = f", attempt {running.attempt.number}" * (running.attempt.number > 1)
        others = len(running.others)
        beside = f" and {others} other model{'s' * (others > 1)}" * (others > 0)
        description = f"{task.job.stage} {task.label}{beside}{again}"
        self._bars[task.job_id] = self._progress.add_task(
            description, total=None, note=""
        )
        if not self._console.is_terminal:
            self._print(f"started {description}")

    def ended(self, task: Task, ended: Ended, action: Action) -> None:
        if task.job_id in self._bars:  # models together share the bar of the first
            self._progress.remove_task(self._bars.pop(task.job_id))
        name = f"{task.job.stage} {task.label}"
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

    def tick(self, driver: Driver) -> None:
        now = time.monotonic()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            self._refresh(driver)
        if now - self._reported >= REPORT_SECONDS and not self._console.is_terminal:
            self._reported = now
            counts = driver.board.counts()
            states = ", ".join(f"{n} {status}" for status, n in counts.items())
            self._print(f"{len(driver.running)} running; {states}")

    def _refresh(self, driver: Driver) -> None:
        total = len(driver.board.tasks)
        finished = len(driver.board.status.keys() & driver.board.tasks.keys())
        self._progress.update(self._total, total=total, completed=finished)
        if not self._console.is_terminal:
            return
        for job_id, running in driver.running.items():
            progress = driver.progress(running)
            if "steps" in progress:
                self._progress.update(
                    self._bars[job_id],
                    total=progress["steps"],
                    completed=progress["step"],
                    note=_note(progress),
                )

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _note(progress: dict) -> str:
    figures = [("loss", ".3f"), ("bpp", ".3f")]
    return " ".join(
        f"{name} {progress[name]:{form}}"
        for name, form in figures
        if progress.get(name) is not None
    )
