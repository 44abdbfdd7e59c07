"""The plan of a sweep on the terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from launch.config.settings import Throughput
from sweeps.plan import Plan, Run
from sweeps.tasks import Task

MAX_ROWS = 60


def print_plan(
    console: Console, plan: Plan, tasks: list[Task], throughput: Throughput
) -> None:
    """Prints the runs with their cost, counts per family, and totals."""
    stages = Counter(task.job.stage for task in tasks)
    if plan.runs:
        _print_runs(console, plan, throughput)
    console.print("jobs by stage: " + _listed(stages))


def _print_runs(console: Console, plan: Plan, throughput: Throughput) -> None:
    table = Table(title=f"grid {plan.grid}", title_justify="left")
    trainings = [_training(run) for run in plan.runs]
    first = trainings[0]
    varied = [k for k in first if len({training[k] for training in trainings}) > 1]
    table.add_column("run", no_wrap=True)
    table.add_column("architecture", overflow="fold")
    for title in ("kFLOPs/px", "M params", *varied):
        table.add_column(title, justify="right")
    for run, training in list(zip(plan.runs, trainings, strict=True))[:MAX_ROWS]:
        table.add_row(*_cells(run), *(training[k] for k in varied))
    console.print(table)
    if len(plan.runs) > MAX_ROWS:
        console.print(f"... and {len(plan.runs) - MAX_ROWS} more in plan.parquet")
    shared = [f"{k} {v}" for k, v in first.items() if k not in varied]
    console.print("every training: " + ", ".join(shared))
    families = Counter(run.model.architecture.family for run in plan.runs)
    console.print("runs by family: " + _listed(families))
    left_out = {
        "equal to another": plan.duplicates,
        "excluded": plan.excluded,
        "outside the constraints": plan.over_cost,
    }
    if any(left_out.values()):
        console.print("left out: " + _listed(left_out))
    _print_price(console, plan, throughput)


def _print_price(console: Console, plan: Plan, throughput: Throughput) -> None:
    """What all trainings cost, where their costs are known."""
    flops: dict[str, float] = {}
    for run in plan.runs:
        own = run.training_flops()
        if own is None:
            return
        family = run.model.architecture.family
        flops[family] = flops.get(family, 0.0) + own
    total = sum(flops.values())
    console.print(f"training: {total:.3g} FLOPs; backward counts as 2 x forward")
    hours = {family: throughput.hours(f, family) for family, f in flops.items()}
    whole = sum(hours.values())
    number = throughput.devices_per_unit
    speed = total / whole / 3600e9 / number  # the mean of families where they differ
    how = "the compiler, no measurement" if throughput.by == "compiler" else ""
    console.print(
        f"estimated{' by ' if how else ''}{how}: {_three_digits(whole)} "
        f"{throughput.unit}-hours on {throughput.name}, at {speed:.4g} GFLOP/s "
        f"({throughput.source})"
    )
    if number > 1:
        console.print(
            f"a {throughput.unit} is {number} devices, each with a training of its own"
        )
    if throughput.by_family and len(hours) > 1:
        parts = (f"{_three_digits(own)} {family}" for family, own in hours.items())
        console.print(f"{throughput.unit}-hours by family: {', '.join(parts)}")


def _three_digits(hours: float) -> str:
    return f"{float(f'{hours:.3g}'):,.10g}"


def _training(run: Run) -> dict[str, str]:
    """Recipe and rates, as the configuration calls them."""
    values = {"lmbda": " ".join(f"{rate:g}" for rate in run.model.rates)}
    return values | {k: str(v) for k, v in run.model.recipe.to_dict().items()}


def _cells(run: Run) -> list[str]:
    cost = run.cost
    return [
        run.run_id[:8],
        run.title,
        f"{cost.kflops_per_px:.1f}" if cost else "-",
        f"{cost.params_total / 1e6:.2f}" if cost else "-",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
