"""`launch/sweep.py`: a grid from its plan to its report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.commands.costs import cost_counter
from launch.commands.execution import execute
from launch.commands.outputs import check_out, write_sweep
from launch.commands.report import gather_and_report
from launch.config.app import App, Config, load_option
from launch.config.groups import NAMES
from launch.config.settings import (
    DataSettings,
    HardwareSettings,
    Rates,
    checked_stages,
    positive,
)
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from launch.terminal.plan_table import print_plan
from rdc.data.image_sets import list_images, usable_images
from rdc.errors import ConfigError, ExitCode
from rdc.specs.base import require
from rdc.specs.coding import CodecSpec
from rdc.specs.training import BenchmarkSpec, CheckpointSpec
from sweeps.executor import Executor
from sweeps.grid import Grid
from sweeps.lease import Lease
from sweeps.plan import (
    Plan,
    known_costs,
    make_plan,
    read_plan,
    with_costs,
    write_plan,
)
from sweeps.policy import Limits
from sweeps.tasks import ImageSet, Task, TaskSettings, make_tasks

LAUNCHERS = ("ray", "local")
# Planning checks and shows jobs before any hardware is looked at.
_UNKNOWN_HARDWARE = {"hardware_id": "", "platform": "cpu"}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A checked configuration and its plan; nothing has been written."""

    config: Config
    out: Path
    plan: Plan
    stages: tuple[str, ...]
    train_set: ImageSet
    eval_set: ImageSet
    hardware: HardwareSettings
    limits: Limits

    def task_settings(self, described: Mapping[str, Any]) -> TaskSettings:
        """What jobs get, on hardware as `rdc.system.hardware.describe` tells."""
        benchmark = dict(self.config["benchmark"])
        weights = benchmark.pop("weights", "trained")
        require(
            weights in ("trained", "random"),
            "benchmark.weights is trained or random",
            repr(weights),
        )
        return TaskSettings(
            stages=self.stages,
            train_set=self.train_set,
            eval_set=self.eval_set,
            hardware_id=described["hardware_id"],
            benchmark=BenchmarkSpec.from_dict(benchmark, "benchmark"),
            codec=CodecSpec.from_dict(self.config["codec"], "codec"),
            weights=weights,
            rates_together=_whole(self.config["rates_together"], "rates_together"),
            checkpoint=CheckpointSpec.from_dict(
                self.config["checkpoint"], "checkpoint"
            ),
            per_stage=self.hardware.stages(described),
        )

    def tasks(self, described: Mapping[str, Any]) -> list[Task]:
        """The jobs of the asked stages."""
        return make_tasks(self.plan, self.task_settings(described))


def prepare(config: Config) -> Sweep:
    """Checks the configuration and the data, and plans; writes nothing.

    Raises:
      RdcError: for anything that would fail later for the same reason in every job.
    """
    require("grid" in config, "a sweep has a grid", "none", "add +grid=NAME")
    grid = Grid.from_dict(config["grid"])
    stages = checked_stages(config["stages"])
    _refuse_swept_overrides(grid, config["overrides"])
    require(
        config["launcher"] in LAUNCHERS,
        f"launcher is one of {', '.join(LAUNCHERS)}",
        repr(config["launcher"]),
    )
    for name in ("plan_only", "retry_failed"):
        require(
            isinstance(config[name], bool), f"{name} is true or false", config[name]
        )
    if config["budget"]["hours"] is not None:
        positive(config["budget"]["hours"], "budget.hours")
    out = Path(config["out"] or Path("out") / grid.name).expanduser().absolute()
    data = DataSettings.from_dict(config["data"], "data")
    train_set, eval_set = data.image_set("train"), data.image_set("eval")
    with cost_counter() as count:
        plan = make_plan(
            grid,
            config["train"],
            train_set.data_sha256,
            options=load_option,
            names=NAMES,
            count_cost=count if "complexity" in stages else None,
        )
    check_out(out, plan)
    if "train" in stages:
        for crop_px in sorted({run.job.train.crop_px for run in plan.runs}):
            usable_images(list_images(train_set.source), crop_px)
    if "complexity" not in stages:
        plan = with_costs(plan, known_costs(read_plan(out)))
    hardware = HardwareSettings.parse(config["hardware"])
    limits = Limits.from_dict(config["limits"], "limits")
    sweep = Sweep(config, out, plan, stages, train_set, eval_set, hardware, limits)
    sweep.task_settings(_UNKNOWN_HARDWARE)
    return sweep


def _whole(value: Any, name: str) -> int:
    number = isinstance(value, int) and not isinstance(value, bool)
    require(number, f"{name} is a whole number", repr(value))
    return value


def _refuse_swept_overrides(grid: Grid, overrides: list[str]) -> None:
    swept = {
        key
        for block in grid.blocks
        for axes in (grid.base, block.base, block.product, block.zip)
        for key in axes
    }
    for override in overrides:
        key = override.split("=")[0].lstrip("+")
        if key in swept:
            raise ConfigError(
                f"{key} comes from grid {grid.name}", override, "change the grid"
            )


def run_sweep(config: Config) -> int:
    """Plans, runs and reports; returns the exit code of the contract."""
    console = Console()
    sweep = prepare(config)
    if config["plan_only"]:
        rates = Rates.from_dict(sweep.config["rates"], "rates")
        print_plan(console, sweep.plan, sweep.tasks(_UNKNOWN_HARDWARE), rates)
        with Lease(sweep.out):
            console.print(f"plan: {write_plan(sweep.out, sweep.plan)}")
        return ExitCode.OK
    code: int = ExitCode.OK
    with Lease(sweep.out) as lease:
        write_plan(sweep.out, sweep.plan)
        executor, described = _executor(sweep)
        _write_sweep(sweep, described)
        tasks = sweep.tasks(described)
        if tasks:
            console.print(
                f"{len(tasks)} jobs of {len(sweep.plan.runs)} runs in {sweep.out}"
            )
            end = execute(
                sweep.out,
                tasks,
                executor,
                lease,
                console,
                limits=sweep.limits,
                budget_hours=config["budget"]["hours"],
                retry_failed=config["retry_failed"],
            )
            code = end.exit_code
            console.print(f"{end.message} ({end.started} jobs started)", soft_wrap=True)
        if code in (ExitCode.INTERRUPTED, ExitCode.BAD_INPUT):
            return code
        gather_and_report(sweep.out, console, sweep.stages)
    return code


def _executor(sweep: Sweep) -> tuple[Executor, dict[str, Any]]:
    """The executor, which starts nothing yet, and the hardware of its jobs."""
    settings = sweep.hardware.child_settings()
    if sweep.config["launcher"] == "local":
        described = describe_hardware(settings)
        gpus = described["device_count"] if described["platform"] == "gpu" else 0
        return LocalExecutor(settings, gpus), described
    from launch.executors.ray_executor import RayExecutor

    executor = RayExecutor(settings, sweep.config["cluster"]["address"])
    return executor, executor.describe_hardware()


def _write_sweep(sweep: Sweep, described: Mapping[str, Any]) -> None:
    datasets = {
        "train": dataclasses.asdict(sweep.train_set),
        "eval": dataclasses.asdict(sweep.eval_set),
    }
    write_sweep(
        sweep.out,
        sweep.plan,
        {k: v for k, v in sweep.config.items() if k != "overrides"},
        hardware=described,
        datasets=datasets,
    )


SWEEP_APP = App(
    "sweep",
    run_sweep,
    """
Runs a whole sweep: a grid of architectures to trained models, real bitstreams, costs,
decode times and a frontier report. The same command again goes on where it stopped.
Exit codes: 0 complete, 2 bad configuration, 3 finished with failed runs, 4 budget
reached, 130 interrupted (state kept).""",
    (
        "python launch/sweep.py +grid=rdc_mini",
        "python launch/sweep.py +grid=rdc_mini plan_only=true",
        "python launch/sweep.py +grid=rdc_mini data.train=DIR data.eval=DIR out=DIR",
        "python launch/sweep.py +grid=rdc_mini launcher=local 'stages=[plan,train]'",
    ),
    groups=("grid",),
)
