"""The plan of a sweep on the terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from launch.config.settings import Rates
from sweeps.plan import Plan, Run
from sweeps.tasks import Task

MAX_ROWS = 60


def print_plan(console: Console, plan: Plan, tasks: list[Task], rates: Rates) -> None:
    """Prints the runs with their cost, counts per family, and totals."""
    table = Table(title=f"grid {plan.grid}", title_justify="left")
    recipes = [run.job.train.to_dict() for run in plan.runs]
    varied = [k for k in recipes[0] if len({recipe[k] for recipe in recipes}) > 1]
    table.add_column("run", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for title in ("kFLOPs/px", "M params", *varied):
        table.add_column(title, justify="right")
    for run in plan.runs[:MAX_ROWS]:
        table.add_row(*_cells(run), *(str(getattr(run.job.train, k)) for k in varied))
    console.print(table)
    if len(plan.runs) > MAX_ROWS:
        console.print(f"... and {len(plan.runs) - MAX_ROWS} more in plan.parquet")
    shared = [f"{k} {v}" for k, v in recipes[0].items() if k not in varied]
    console.print("every training: " + ", ".join(shared))
    families = Counter(run.job.architecture.family for run in plan.runs)
    stages = Counter(task.job.stage for task in tasks)
    console.print("runs by family: " + _listed(families))
    console.print("jobs by stage: " + _listed(stages))
    left_out = {
        "equal to another": plan.duplicates,
        "excluded": plan.excluded,
        "outside the constraints": plan.over_cost,
    }
    if any(left_out.values()):
        console.print("left out: " + _listed(left_out))
    flops = [run.training_flops() for run in plan.runs]
    if None not in flops:
        total = sum(f for f in flops if f is not None)
        console.print(f"training: {total:.3g} FLOPs; backward counts as 2 x forward")
        hours = f"{rates.device_hours(total):,.3g} device-hours on {rates.name}"
        rate = f"{rates.training_gflops_per_second:g} GFLOP/s ({rates.source})"
        console.print(f"estimated: {hours}, at {rate}")


def _cells(run: Run) -> list[str]:
    cost = run.cost
    return [
        run.run_id[:8],
        run.name or run.job.architecture.family,
        f"{cost['kflops_per_px']:.1f}" if cost else "-",
        f"{cost['params_total'] / 1e6:.2f}" if cost else "-",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
