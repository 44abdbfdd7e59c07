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
from launch.commands.outputs import check_numerics, check_out, write_sweep
from launch.config.app import App, Call
from launch.config.roots import TrainConfig, absolute
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from launch.staging import staged_code
from rdc.codec.model_folders import read_model_spec, trained_as
from rdc.errors import ExitCode
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import job_folder
from rdc.jobs.plan_row import Cost
from rdc.jobs.records import TrainResult
from rdc.registry import REGISTRY, parse_architecture
from rdc.specs.base import require
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.timing import BenchmarkSpec
from sweeps.lease import Lease
from sweeps.outputs import Outputs
from sweeps.plan import Plan, Run
from sweeps.plan_file import read_plan, write_plan
from sweeps.settings import TrainSettings
from sweeps.state import JobFolder
from sweeps.task_settings import TaskSettings
from sweeps.tasks import make_tasks

PLAN_NAME = "train"


def run_train(call: Call[TrainConfig]) -> int:
    """Trains one architecture; returns the exit code of the contract."""
    console, config = Console(), call.config
    architecture, name = config.chosen()
    require(
        not config.data.carry,
        "data.carry=true is for sweeps whose OUT is in a store",
        "launch/train.py, whose OUT is a folder",
    )
    train_set, eval_set = config.data.image_set("train"), config.data.image_set("eval")
    out = absolute(config.out)
    check_numerics(out)
    train, teachers = with_teacher(out, config.train)
    wanted = models(
        architecture, train, train_set.data_sha256, config.one_model_per_rate
    )
    with cost_counter() as count:
        cost = count(architecture)
    runs = tuple(Run(TrainJob(model=model), name, cost) for model in wanted)
    asked = {run.run_id for run in runs}
    earlier = [Run.of_row(row) for row in read_plan(out) if row.run_id not in asked]
    plan = Plan(PLAN_NAME, (*earlier, *runs))
    check_out(out, plan)
    child_settings = config.hardware.child_settings(staged_code())
    described = describe_hardware(child_settings)
    stages = ("train", "evaluate") if config.evaluate else ("train",)
    settings = TaskSettings(
        stages=stages,
        train_set=train_set,
        eval_set=eval_set,
        hardware_id=described["hardware_id"],
        benchmark=BenchmarkSpec(),
        codec=config.codec,
        checkpoint=config.checkpoint,
        teachers=teachers,
        models_together=len(runs),
        per_stage=config.hardware.stages(described),
    )
    tasks = make_tasks(dataclasses.replace(plan, runs=runs), settings)
    for model in wanted:
        if model.init_from is not None:
            model.check_teacher(*described_model(Path(teachers[model.init_from])))
    outputs = Outputs(out)
    with Lease(out) as lease:
        write_plan(out, plan)
        kept = {k: v for k, v in call.values.items() if k not in REGISTRY}
        write_sweep(
            outputs,
            plan,
            {**kept, "stages": list(stages)},
            hardware=described,
            datasets={"train": vars(train_set), "eval": vars(eval_set)},
        )
        end = execute(
            outputs,
            tasks,
            LocalExecutor.on(described, child_settings),
            lease,
            console,
            grid=PLAN_NAME,
            limits=config.limits,
            budget=config.budget,
            retry_failed=config.retry == "failed",
        )
    console.print(end.message, soft_wrap=True)
    if end.exit_code == ExitCode.OK:
        for run in runs:
            _print_result(console, out, run, cost)
    return end.exit_code


def models(
    architecture: ArchitectureSpec,
    train: Mapping[str, Any],
    data_sha256: str,
    one_per_rate: bool = False,
) -> list[ModelSpec]:
    """The model of all values of `train.lmbda`, or one model for each.

    Raises:
      ConfigError: an impossible model.
    """
    settings = TrainSettings.from_dict(train)
    whole = ModelSpec(
        architecture=architecture,
        recipe=settings.recipe,
        rates=settings.lmbda,
        data_sha256=data_sha256,
        init_from=None if settings.teacher is None else str(settings.teacher),
    )
    if not one_per_rate:
        return [whole]
    return [dataclasses.replace(whole, rates=(rate,)) for rate in whole.rates]


def with_teacher(
    out: Path, train: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """(`train` with the teacher's run_id, that run_id and the folder of its model).

    Raises:
      ConfigError: `train.teacher` is neither the folder of a model nor how the run_id
        of one training of OUT begins.
    """
    teacher = train.get("teacher")
    if teacher is None:
        return dict(train), {}
    folder = Path(str(teacher))
    if not folder.is_dir():
        rows = [row for row in read_plan(out) if row.run_id.startswith(str(teacher))]
        found = [model for row in rows if (model := _model_of(out, row.run_id))]
        require(
            len(found) == 1,
            "train.teacher is the folder of a model or the run_id of a training of "
            f"{out}",
            teacher,
            "name the folder that the training printed",
        )
        (folder,) = found
    run_id = trained_as(folder)
    return {**train, "teacher": run_id}, {run_id: str(folder.resolve())}


def described_model(folder: Path) -> tuple[ArchitectureSpec, int]:
    """(architecture, number of rates) of an exported model."""
    spec = read_model_spec(folder)
    return parse_architecture(spec["architecture"]), len(spec["operating_points"])


def _model_of(out: Path, run_id: str) -> Path | None:
    folder = JobFolder(
        job_folder(out, TrainJob.folder_name, run_id), run_id, Outputs(out)
    )
    record = folder.record()
    if record is None or record.status != "ok":
        return None
    return folder.attempt(record.attempt) / record.result["model_dir"]


def _print_result(console: Console, out: Path, run: Run, cost: Cost) -> None:
    folder = JobFolder(run.job.folder(out), run.run_id, Outputs(out))
    record = folder.record()
    if record is None:
        return
    result = TrainResult.from_dict(record.result)
    summary, model = result.summary, folder.attempt(record.attempt) / result.model_dir
    rates = " ".join(f"{rate:g}" for rate in run.model.rates)
    console.print(
        f"{run.title}, lmbda {rates}: {cost.kflops_per_px:.1f} kFLOPs/px to decode, "
        f"loss {_shown(summary.loss_first)} -> {_shown(summary.loss_last)} "
        f"in {summary.train_seconds:.0f} s",
        highlight=False,
    )
    console.print(f"model: {model}", soft_wrap=True, highlight=False)


def _shown(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}"


TRAIN_APP = App(
    "train_run",
    TrainConfig,
    run_train,
    """
Trains one architecture on this machine, without Ray, and measures its rate and
distortion. Of several values of train.lmbda, it makes one model of variable rate; with
one_model_per_rate=true, a model each, trained together.
The same command again goes on where it stopped.""",
    (
        "python launch/train.py architecture=rdc_g train=short",
        "python launch/train.py architecture=rdc_g train.steps=1000 train.lmbda=0.05",
        "python launch/train.py architecture=rdc_g 'train.lmbda=[0.005,0.0125,0.03]'",
        "python launch/train.py architecture=evc_s train.method=mask_decay "
        "train.teacher=RUN_OR_FOLDER",
        "python launch/train.py transform=elic 'transform.channels=[64,64,64]' "
        "entropy_model=charm hyper_transform=conv data.train=DIR data.eval=DIR",
    ),
    groups=("architecture", *REGISTRY),
)
