"""`launch/sweep.py`: a grid from its plan to its report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status

from launch.commands.costs import cost_counter
from launch.commands.execution import execute
from launch.commands.outputs import check_out, open_outputs, write_sweep
from launch.commands.propose import check_proposing, print_proposal
from launch.commands.report import checked_objectives, gather_and_report
from launch.commands.tasks_data import (
    NO_TASKS,
    TasksData,
    tasks_data_of,
    training_costs,
)
from launch.config.app import App, Call
from launch.config.groups import NAMES
from launch.config.roots import SweepConfig
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from launch.staging import staged_code
from launch.terminal.methods_table import print_methods
from launch.terminal.plan_table import print_plan
from rdc.data.image_facts import KnownImages
from rdc.data.image_sets import usable_images
from rdc.data.manifest import manifest_of
from rdc.errors import ConfigError, ExitCode
from rdc.jobs.carried_images import upload
from rdc.jobs.layout import manifest_file
from rdc.jobs.node_check import versions
from rdc.specs.base import require
from sweeps.executor import Executor
from sweeps.grid import Grid
from sweeps.migration import is_due, migrate
from sweeps.outputs import Outputs
from sweeps.plan import Plan, chosen, make_plan, with_costs
from sweeps.plan_file import known_costs, read_plan, write_plan
from sweeps.stored_outputs import StoredOutputs
from sweeps.task_settings import ImageFile, ImageSet, TaskSettings
from sweeps.tasks import Task, make_tasks


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A checked configuration and its plan; nothing has been written."""

    call: Call[SweepConfig]
    outputs: Outputs
    plan: Plan
    train_set: ImageSet
    eval_set: ImageSet
    # Their files, in this order.
    images: tuple[KnownImages, KnownImages]
    eval_images: tuple[ImageFile, ...] = ()
    tasks_data: TasksData = NO_TASKS

    @property
    def out(self) -> Path:
        """Where its files are read; of a store, the copy."""
        return self.outputs.folder

    @property
    def config(self) -> SweepConfig:
        return self.call.config

    @property
    def chosen(self) -> Plan:
        """What of the plan this command is about."""
        return chosen(self.plan, self.config.only)

    def tasks(
        self,
        described: Mapping[str, Any] | None = None,
        devices: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[Task]:
        """The jobs of the asked stages.

        Args:
          described: the hardware, as `rdc.system.hardware.describe` tells; None: nobody
            has looked at it.
          devices: the same of each of `hardware.benchmark.devices`.
        """
        config = self.config
        if described is None:
            described = _unknown("")
            devices = {name: _unknown(name) for name in _devices(config)}
        settings = TaskSettings(
            stages=config.stages,
            train_set=self.train_set,
            eval_set=self.eval_set,
            hardware_id=described["hardware_id"],
            devices=config.hardware.timed(devices or {}),
            benchmark=config.benchmark.spec,
            compiler=config.hardware.compiler,
            estimates=config.benchmark.estimates,
            weights=config.benchmark.weights,
            codec=config.codec,
            codecs=config.codecs,
            overfitted=config.overfitted,
            eval_images=self.eval_images,
            split=config.split,
            photographs=self.tasks_data.photographs,
            test_photographs=self.tasks_data.test,
            teacher_weights=self.tasks_data.teacher_weights,
            versions=versions(),
            models_together=config.models_together,
            checkpoint=config.checkpoint,
            per_stage=config.hardware.stages(described),
        )
        return make_tasks(self.chosen, settings)


def _unknown(device: str) -> dict[str, Any]:
    """Planning checks and shows jobs before any hardware is looked at."""
    return {"hardware_id": device, "platform": "cpu"}


def _devices(config: SweepConfig) -> tuple[str, ...]:
    """That times are taken on, where they are named."""
    timed = "benchmark" in config.stages
    return (config.hardware.benchmark.devices or ()) if timed else ()


def prepare(call: Call[SweepConfig]) -> Sweep:
    """Checks the configuration and the data, and plans; writes nothing.

    Raises:
      RdcError: for anything that would fail later for the same reason in every job.
    """
    config = call.config
    grid = config.chosen_grid()
    outputs = open_outputs(config.out_place(), config.cluster.scratch)
    out = outputs.folder
    checked_objectives(config)
    check_proposing(config)
    _refuse_swept_overrides(grid, call.overrides)
    known = config.data.known("train"), config.data.known("eval")
    train_set = _planned(config.data.image_set("train", known[0]), out, config)
    eval_set = _planned(config.data.image_set("eval", known[1]), out, config)
    _check_carrying(config, outputs)
    _check_hosts(config, outputs)
    with cost_counter() as count:
        plan = make_plan(
            grid,
            config.train,
            train_set.data_sha256,
            options=call.options,
            names=NAMES,
            count_cost=count if "complexity" in config.stages else None,
        )
    migrates = is_due(outputs)
    check_out(out, plan, migrates)
    if "train" in config.stages:
        for crop_px in sorted({run.model.recipe.crop_px for run in plan.runs}):
            usable_images(known[0], crop_px)
    if "complexity" not in config.stages and not migrates:
        plan = with_costs(plan, known_costs(read_plan(out)))
    alone: tuple[ImageFile, ...] = ()
    if config.overfitted.codecs:
        found = zip(known[1], known[1].facts, strict=True)
        alone = tuple(ImageFile(str(path), facts.sha256) for path, facts in found)
    tasks_data = tasks_data_of(config.split)
    config.benchmark.check(config.hardware.compiler)
    require(
        bool(plan.runs or alone or tasks_data.photographs),
        "a sweep has models to train, codecs to fit to images, or methods of a task",
        f"grid {grid.name} without blocks, no overfitted.codecs, no split.methods",
    )
    sets = train_set, eval_set
    sweep = Sweep(call, outputs, plan, *sets, known, alone, tasks_data)
    sweep.tasks()
    return sweep


def _planned(images: ImageSet, out: Path, config: SweepConfig) -> ImageSet:
    manifest = str(manifest_file(out, images.data_sha256))
    carried = config.data.carry
    return dataclasses.replace(images, manifest=manifest, carried=carried)


def _check_carrying(config: SweepConfig, outputs: Outputs) -> None:
    if not config.data.carry:
        return
    require(
        isinstance(outputs, StoredOutputs),
        "data.carry=true takes images to an OUT in a store",
        outputs.name,
        "give out=s3://... or gs://..., or put the images on a disk that all see",
    )
    require(
        not (config.overfitted.codecs or config.split.methods),
        "data.carry=true carries images of models, not of overfitted codecs or tasks",
        ", ".join(config.overfitted.codecs) or config.split.photographs,
        "put these images under one path on every machine",
    )


def _check_hosts(config: SweepConfig, outputs: Outputs) -> None:
    hosts = config.hardware.train.settings(0.0).resources.hosts
    require(
        hosts == 1 or not isinstance(outputs, StoredOutputs),
        "trainings on several hosts have OUT in a folder that all of them see",
        f"{hosts} hosts and {outputs.name}",
        "give out=DIR on a shared disk",
    )


def _refuse_swept_overrides(grid: Grid, overrides: Sequence[str]) -> None:
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


def run_sweep(call: Call[SweepConfig]) -> int:
    """Plans, runs and reports; returns the exit code of the contract."""
    console = Console()
    sweep, config = prepare(call), call.config
    if config.plan_only:
        tasks = sweep.tasks()
        throughput = config.chosen_throughput(call.options)
        print_plan(console, sweep.chosen, tasks, throughput)
        if sweep.tasks_data.photographs is not None:
            images = len(sweep.images[0])
            costs = training_costs(config.split, sweep.tasks_data, images)
            print_methods(console, tasks, costs, throughput)
        with sweep.outputs.lease(wait_seconds=config.lease.wait_seconds):
            _migrate(sweep, console)
            console.print(f"plan: {_write_plan(sweep)}")
        return ExitCode.OK
    code: int = ExitCode.OK
    outputs = sweep.outputs
    if config.propose is not None:
        with outputs.lease(wait_seconds=config.lease.wait_seconds):
            outputs.refresh()
            _migrate(sweep, console)
            _write_plan(sweep)
            dataset = sweep.eval_set.name
            print_proposal(call, config.propose, outputs, dataset, console)
        return ExitCode.OK
    with outputs.lease(wait_seconds=config.lease.wait_seconds) as lease:
        outputs.refresh()
        _migrate(sweep, console)
        _write_plan(sweep)
        _write_manifests(sweep)
        _carry(sweep, console)
        executor, described, devices = _executor(config)
        _write_sweep(sweep, {**described, "devices": devices} if devices else described)
        tasks = sweep.tasks(described, devices)
        if tasks:
            console.print(
                f"{len(tasks)} jobs of {len(sweep.chosen.runs)} runs in {outputs.name}",
                soft_wrap=True,
            )
            end = execute(
                outputs,
                tasks,
                executor,
                lease,
                console,
                grid=sweep.plan.grid,
                limits=config.limits,
                budget=config.budget,
                notify=config.notify,
                retry_failed=config.retry == "failed",
            )
            code = end.exit_code
            console.print(f"{end.message} ({end.started} jobs started)", soft_wrap=True)
        if code in (ExitCode.INTERRUPTED, ExitCode.DISK_FULL):
            return code
        gather_and_report(outputs, console, config.stages, config.objectives)
    return code


def _migrate(sweep: Sweep, console: Console) -> None:
    for done in migrate(sweep.outputs):
        console.print(done, soft_wrap=True)


def _write_plan(sweep: Sweep) -> str:
    path = write_plan(sweep.out, sweep.plan)
    sweep.outputs.publish(path)
    return f"{sweep.outputs.name}/{path.name}"


def _write_manifests(sweep: Sweep) -> None:
    """What each set was; a file is named by its content."""
    for images, known in zip(
        (sweep.train_set, sweep.eval_set), sweep.images, strict=True
    ):
        path = manifest_file(sweep.out, images.data_sha256)
        if not path.exists():
            manifest = manifest_of(images.source, known)
            sweep.outputs.write_json(path, manifest.to_dict())


def _carry(sweep: Sweep, console: Console) -> None:
    """Takes the images to OUT, where that is asked for."""
    if not sweep.config.data.carry or not isinstance(sweep.outputs, StoredOutputs):
        return
    for known in sweep.images:
        with console.status("") as status:

            def told(done: int, of: int, status: Status = status) -> None:
                status.update(f"taking images to {sweep.outputs.name}: {done} of {of}")

            upload(sweep.outputs.store, known, told)


Described = dict[str, Any]


def _executor(
    config: SweepConfig,
) -> tuple[Executor, Described, dict[str, Described]]:
    """The executor, which starts nothing yet, the hardware of its jobs, and each of the
    devices that times are taken on."""
    settings = config.hardware.child_settings(staged_code())
    devices, wanted = _devices(config), config.hardware.benchmark
    if config.launcher == "local":
        described = describe_hardware(settings)
        local = LocalExecutor.on(described, settings)
        return local, described, dict.fromkeys(devices, described)
    from launch.executors.ray_executor import RayExecutor

    cluster = config.cluster
    executor = RayExecutor(settings, cluster.address, autoscales=cluster.autoscales)
    described, *found = (
        executor.describe_hardware(wanted.gpus, device, wanted.custom)
        for device in (wanted.device, *devices)
    )
    return executor, described, dict(zip(devices, found, strict=True))


def _write_sweep(sweep: Sweep, described: Mapping[str, Any]) -> None:
    datasets = {
        role: {"source": s.source, "name": s.name, "data_sha256": s.data_sha256}
        for role, s in (("train", sweep.train_set), ("eval", sweep.eval_set))
    }
    webhook = None if sweep.config.notify.webhook is None else "(not kept)"
    write_sweep(
        sweep.outputs,
        sweep.plan,
        {**sweep.call.values, "notify": {"webhook": webhook}},
        hardware=described,
        datasets=datasets,
    )


SWEEP_APP = App(
    "sweep",
    SweepConfig,
    run_sweep,
    """
Runs a whole sweep: a grid of architectures to trained models, real bitstreams, costs,
decode times and a frontier report. The same command again goes on where it stopped.
Exit codes: 0 complete, 2 bad configuration, 3 finished with failed runs, 4 budget
reached, 12 disk full (state kept), 130 interrupted (state kept).
Meanwhile, launch/status.py says from any shell how it stands.""",
    (
        "python launch/sweep.py +grid=rdc_mini",
        "python launch/sweep.py +grid=rdc_mini plan_only=true",
        "python launch/sweep.py +grid=rdc_mini propose=3",
        "python launch/sweep.py +grid=rdc_mini data.train=DIR data.eval=DIR out=DIR",
        "python launch/sweep.py +grid=rdc_mini launcher=local 'stages=[plan,train]'",
        "python launch/sweep.py +grid=rdc_full budget.device_hours=500 "
        "notify.webhook=URL",
    ),
    groups=("grid", "throughput"),
)
