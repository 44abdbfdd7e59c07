"""The split methods of a plan on the terminal, with what their trainings cost."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from launch.config.settings import Throughput
from rdc.jobs.splits import SplitJob, TeacherJob
from sweeps.tasks import Task

TEACHER = "teacher"


def print_methods(
    console: Console,
    tasks: list[Task],
    flops: Mapping[str, float],
    throughput: Throughput,
) -> None:
    """Prints a line for each method at one setting.

    Args:
      flops: of one training, by what a method is `described` as, and of `TEACHER`;
        methods without training have none.
    """
    jobs: dict[str, int] = {}
    for task in tasks:
        if isinstance(task.job, SplitJob | TeacherJob):
            key = _what(task.job)
            jobs[key] = jobs.get(key, 0) + 1
    table = Table(title="tasks behind codecs", title_justify="left")
    table.add_column("method", overflow="fold")
    for title in ("jobs", "FLOPs each"):
        table.add_column(title, justify="right")
    for key, number in jobs.items():
        own = flops.get(key)
        table.add_row(key, str(number), "-" if own is None else f"{own:.3g}")
    console.print(table)
    total = sum(flops.get(key, 0.0) * number for key, number in jobs.items())
    hours = throughput.hours(total, "")
    console.print(
        f"training: {total:.3g} FLOPs; backward counts as 2 x forward\n"
        f"estimated: {hours:,.3g} {throughput.unit}-hours on {throughput.name}, at the "
        f"speed of codecs' trainings ({throughput.source})",
        soft_wrap=True,
    )


def _what(job: SplitJob | TeacherJob) -> str:
    return TEACHER if isinstance(job, TeacherJob) else job.method.described
