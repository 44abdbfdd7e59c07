"""`launch/train.py`: one architecture at one or several rates, without Ray.

All trainings share one OUT, which grows with each, so that `launch/report.py` can
compare them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.commands.costs import cost_counter
from launch.commands.execution import execute
from launch.commands.outputs import check_out, write_sweep
from launch.config.app import App, Config
from launch.config.groups import chosen_architecture
from launch.config.settings import DataSettings, HardwareSettings, positive
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from rdc.errors import ExitCode
from rdc.jobs.job import TrainJob
from rdc.registry import REGISTRY, arch_id
from rdc.specs.base import require
from rdc.specs.coding import CodecSpec
from rdc.specs.training import BenchmarkSpec, CheckpointSpec, TrainSpec
from sweeps.lease import Lease
from sweeps.plan import Cost, Plan, Run, read_plan, runs_of, write_plan
from sweeps.policy import Limits
from sweeps.state import JobFolder
from sweeps.tasks import TaskSettings, make_tasks

PLAN_NAME = "train"


def run_train(config: Config) -> int:
    """Trains one architecture; returns the exit code of the contract."""
    console = Console()
    architecture, name = chosen_architecture(config)
    for key in ("evaluate", "retry_failed"):
        require(isinstance(config[key], bool), f"{key} is true or false", config[key])
    data = DataSettings.from_dict(config["data"], "data")
    train_set, eval_set = data.image_set("train"), data.image_set("eval")
    jobs = [
        TrainJob(
            architecture=architecture, train=train, data_sha256=train_set.data_sha256
        )
        for train in recipes(config["train"])
    ]
    out = Path(config["out"]).expanduser().absolute()
    with cost_counter() as count:
        cost = count(architecture)
    identity = arch_id(architecture)
    runs = tuple(Run(job, job.job_id, identity, name, cost) for job in jobs)
    asked = {run.run_id for run in runs}
    earlier = [r for r in runs_of(read_plan(out)) if r.run_id not in asked]
    plan = Plan(PLAN_NAME, (*earlier, *runs))
    check_out(out, plan)
    hardware = HardwareSettings.parse(config["hardware"])
    limits = Limits.from_dict(config["limits"], "limits")
    hours = config["budget"]["hours"]
    if hours is not None:
        hours = positive(hours, "budget.hours")
    child_settings = hardware.child_settings()
    described = describe_hardware(child_settings)
    stages = ("train", "evaluate") if config["evaluate"] else ("train",)
    settings = TaskSettings(
        stages=stages,
        train_set=train_set,
        eval_set=eval_set,
        hardware_id=described["hardware_id"],
        benchmark=BenchmarkSpec(),
        codec=CodecSpec.from_dict(config["codec"], "codec"),
        checkpoint=CheckpointSpec.from_dict(config["checkpoint"], "checkpoint"),
        rates_together=len(runs),
        per_stage=hardware.stages(described),
    )
    tasks = make_tasks(dataclasses.replace(plan, runs=runs), settings)
    gpus = described["device_count"] if described["platform"] == "gpu" else 0
    with Lease(out) as lease:
        write_plan(out, plan)
        keys = ("overrides", *REGISTRY)
        kept = {k: v for k, v in config.items() if k not in keys}
        write_sweep(
            out,
            plan,
            {**kept, "stages": list(stages)},
            hardware=described,
            datasets={"train": vars(train_set), "eval": vars(eval_set)},
        )
        end = execute(
            out,
            tasks,
            LocalExecutor(child_settings, gpus),
            lease,
            console,
            limits=limits,
            budget_hours=hours,
            retry_failed=config["retry_failed"],
        )
    console.print(end.message, soft_wrap=True)
    if end.exit_code == ExitCode.OK:
        for run in runs:
            _print_result(console, out, run, cost)
    return end.exit_code


def recipes(train: Mapping[str, Any]) -> list[TrainSpec]:
    """One recipe per value of `lmbda`, which is a number or a list of numbers.

    Raises:
      ConfigError: an impossible recipe, or equal ones.
    """
    rates = train["lmbda"]
    rates = rates if isinstance(rates, list) else [rates]
    require(
        len(rates) > 0 and len(set(map(str, rates))) == len(rates),
        "train.lmbda is a number, or a list of different ones",
        rates,
    )
    return [TrainSpec.from_dict({**train, "lmbda": rate}, "train") for rate in rates]


def _print_result(console: Console, out: Path, run: Run, cost: Cost) -> None:
    folder = run.job.folder(out)
    record = JobFolder(folder, run.run_id).record()
    if record is None:
        return
    result = record.result
    model = folder / "attempts" / str(record.attempt) / result["model_dir"]
    console.print(
        f"{run.name or run.job.architecture.family}, lmbda {run.job.train.lmbda:g}: "
        f"{cost['kflops_per_px']:.1f} kFLOPs/px to decode, "
        f"loss {result['loss_first']:.3f} -> {result['loss_last']:.3f} "
        f"in {result['train_seconds']:.0f} s",
        highlight=False,
    )
    console.print(f"model: {model}", soft_wrap=True, highlight=False)


TRAIN_APP = App(
    "train_run",
    run_train,
    """
Trains one architecture on this machine, without Ray, and measures its rate and
distortion. Several values of train.lmbda are trained together, each a run of its own.
The same command again goes on where it stopped.""",
    (
        "python launch/train.py architecture=rdc_g train=short",
        "python launch/train.py architecture=rdc_g train.steps=1000 train.lmbda=0.05",
        "python launch/train.py architecture=rdc_g 'train.lmbda=[0.005,0.0125,0.03]'",
        "python launch/train.py transform=elic 'transform.channels=[64,64,64]' "
        "entropy_model=charm hyper_transform=conv data.train=DIR data.eval=DIR",
    ),
    groups=("architecture", *REGISTRY),
)
