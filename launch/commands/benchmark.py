"""`launch/benchmark.py`: decode times of one architecture on this device, or what a
compiler expects of one that is not at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from launch.commands.execution import execute
from launch.config.app import App, Call
from launch.config.roots import BenchmarkConfig, absolute
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from launch.staging import staged_code
from launch.terminal.decode_tables import print_estimates, print_step, print_times
from rdc.errors import ExitCode
from rdc.jobs.base import Job
from rdc.jobs.estimates import EstimateJob, TrainingEstimateJob
from rdc.jobs.job import BenchmarkJob, Request
from rdc.registry import REGISTRY
from rdc.specs.base import require
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from sweeps.lease import Lease
from sweeps.outputs import Outputs
from sweeps.settings import TrainSettings
from sweeps.state import JobFolder
from sweeps.task_settings import StageSettings
from sweeps.tasks import Task


def run_benchmark(call: Call[BenchmarkConfig]) -> int:
    """Times the decoder with random weights; measures anew at every call. With
    `hardware.compiler`, estimates instead.
    """
    console, config = Console(), call.config
    devices = config.hardware.benchmark.devices
    require(not devices, "this command times this machine", f"devices {devices}")
    architecture, name = config.chosen()
    settings = config.hardware.child_settings(staged_code())
    described = describe_hardware(settings)
    stages = config.hardware.stages(described)
    target, label = config.hardware.compiler, name or architecture.family
    jobs: Sequence[Job] = _estimates(config, architecture)
    if target is None:
        times = BenchmarkJob(
            architecture=architecture,
            hardware_id=described["hardware_id"],
            benchmark=config.benchmark.spec,
        )
        jobs = [times]
    stage = stages["benchmark" if target is None else "evaluate"]
    tasks = [_task(job, label, stage) for job in jobs]
    out = absolute(config.out)
    outputs = Outputs(out)
    folders = [JobFolder(job.folder(out), job.job_id, outputs) for job in jobs]
    with Lease(out) as lease:
        for folder in folders:
            if folder.record() is not None:
                folder.forgive()
        executor = LocalExecutor.on(described, settings)
        end = execute(
            outputs,
            tasks,
            executor,
            lease,
            console,
            grid="benchmark",
            limits=config.limits,
        )
    if end.exit_code != ExitCode.OK:
        console.print(end.message, soft_wrap=True)
        return end.exit_code
    for folder in folders:
        record = folder.record()
        assert record is not None
        if target is None:
            print_times(console, label, record, described)
        elif record.stage == TrainingEstimateJob.stage:
            print_step(console, label, record, target)
        else:
            print_estimates(console, label, record, target)
    return ExitCode.OK


def _estimates(config: BenchmarkConfig, architecture: ArchitectureSpec) -> list[Job]:
    """What a compiler is asked; empty where there is a device."""
    target, spec = config.hardware.compiler, config.benchmark.spec
    config.benchmark.check(target)
    if target is None:
        return []
    jobs: list[Job] = []
    if "decoder" in config.benchmark.estimates:
        decoder = EstimateJob(
            architecture=architecture,
            target=target,
            height_px=spec.height_px,
            width_px=spec.width_px,
        )
        jobs.append(decoder)
    if "training_step" in config.benchmark.estimates:
        settings = TrainSettings.from_dict(config.train)
        model = ModelSpec(
            architecture=architecture,
            recipe=settings.recipe,
            rates=settings.lmbda,
            data_sha256="",
        )
        jobs.append(TrainingEstimateJob.of(model, target))
    return jobs


def _task(job: Job, label: str, stage: StageSettings) -> Task:
    hours = stage.timeout_hours
    return Task(
        job=job,
        job_id=job.job_id,
        label=label,
        parent=None,
        priority=(0.0, 0.0),
        request=Request(),
        resources=stage.resources,
        timeout_seconds=None if hours is None else hours * 3600,
    )


BENCHMARK_APP = App(
    "benchmark_run",
    BenchmarkConfig,
    run_benchmark,
    """
Times the decoding network of one architecture on this device, with random weights:
nothing needs to be trained. Entropy coding needs a trained model, so the sweep times
it. Keep the machine idle meanwhile.

hardware=tpu_v4, tpu_v5e or tpu_v6e asks the TPU compiler instead, which needs no TPU
(make tpu-compiler): cycles by component, memory, and no measurement; hardware=a100 or
h100 that for GPUs (make cuda-compiler), for a roofline of its kernels. With
benchmark.estimates=[training_step] it is asked for a training step, at the batch and
crop of the group train: whether it fits and how long it takes. That takes minutes.""",
    (
        "python launch/benchmark.py architecture=rdc_g",
        "python launch/benchmark.py architecture=rdc_g benchmark.repeats=50",
        "python launch/benchmark.py architecture=rdc_g hardware=cpu",
        "python launch/benchmark.py architecture=rdc_g hardware=tpu_v4",
        "python launch/benchmark.py architecture=rdc_g hardware=tpu_v5e "
        "'benchmark.estimates=[training_step]' train.batch_size=8",
    ),
    groups=("architecture", *REGISTRY),
)
