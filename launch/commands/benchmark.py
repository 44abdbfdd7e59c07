"""`launch/benchmark.py`: decode times of one architecture on this device, or what a
compiler expects of one that is not at hand.
"""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from launch.commands.execution import execute
from launch.config.app import App, Call
from launch.config.roots import BenchmarkConfig, absolute
from launch.executors.hardware import describe_hardware
from launch.executors.local import LocalExecutor
from launch.staging import staged_code
from rdc.errors import ExitCode
from rdc.jobs.job import BenchmarkJob, EstimateJob, Request
from rdc.jobs.records import BenchmarkResult, EstimateResult, Record
from rdc.registry import REGISTRY
from rdc.specs.base import require
from rdc.specs.compiler import CompilerTarget
from sweeps.lease import Lease
from sweeps.outputs import Outputs
from sweeps.state import JobFolder
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
    spec, target = config.benchmark.spec, config.hardware.compiler
    job: BenchmarkJob | EstimateJob
    if target is not None:
        stage = stages["evaluate"]
        job = EstimateJob(
            architecture=architecture,
            target=target,
            height_px=spec.height_px,
            width_px=spec.width_px,
        )
    else:
        stage = stages["benchmark"]
        job = BenchmarkJob(
            architecture=architecture,
            hardware_id=described["hardware_id"],
            benchmark=spec,
        )
    hours = stage.timeout_hours
    task = Task(
        job=job,
        job_id=job.job_id,
        label=name or architecture.family,
        parent=None,
        priority=(0.0, 0.0),
        request=Request(),
        resources=stage.resources,
        timeout_seconds=None if hours is None else hours * 3600,
    )
    out = absolute(config.out)
    outputs = Outputs(out)
    folder = JobFolder(job.folder(out), job.job_id, outputs)
    with Lease(out) as lease:
        if folder.record() is not None:
            folder.forgive()
        executor = LocalExecutor.on(described, settings)
        end = execute(outputs, [task], executor, lease, console, limits=config.limits)
    record = folder.record()
    if end.exit_code != ExitCode.OK or record is None:
        console.print(end.message, soft_wrap=True)
        return end.exit_code
    if target is not None:
        _print_estimates(console, task.label, record, target)
    else:
        _print_times(console, task.label, record, described)
    return ExitCode.OK


def _print_times(
    console: Console, label: str, record: Record, described: dict[str, Any]
) -> None:
    table = Table(title=f"{label} on {described['device_kind']}")
    for title in ("stage", "image", "precision", "median ms", "IQR ms", "MP/s"):
        table.add_column(title, justify="right")
    groups: dict[tuple, list[float]] = {}
    for row in BenchmarkResult.from_dict(record.result).times:
        key = (row.stage, row.height_px, row.width_px, row.precision)
        groups.setdefault(key, []).append(row.decode_ms)
    for (stage, height, width, precision), times in groups.items():
        median = statistics.median(times)
        quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [median] * 3
        table.add_row(
            stage,
            f"{height} x {width}",
            precision,
            f"{median:.2f}",
            f"{quartiles[2] - quartiles[0]:.2f}",
            f"{height * width / median / 1e3:.2f}",
        )
    console.print(table)


def _print_estimates(
    console: Console, label: str, record: Record, target: CompilerTarget
) -> None:
    result = EstimateResult.from_dict(record.result)
    first, network = result.estimates[0], result.estimates[-1]
    table = Table(
        title=f"{label} on {target.device_kind}: estimates of {result.compiler}, "
        "no measurement",
        caption=f"{first.height_px} x {first.width_px}, batch 1, products in "
        f"{first.precision}, {target.clock_mhz:g} MHz; {target.note}",
    )
    for title in ("component", "cycles", "ms", "share"):
        table.add_column(title, justify="right")
    for row in result.estimates:
        if row.cycles is None or row.decode_ms is None or not network.cycles:
            table.add_row(row.component, "does not fit", "-", "-")
            continue
        share = f"{100 * row.cycles / network.cycles:.0f} %"
        table.add_row(row.component, f"{row.cycles:,}", f"{row.decode_ms:.2f}", share)
    console.print(table)
    if network.peak_bytes is not None:
        console.print(
            f"memory: {network.peak_bytes / 1e6:,.0f} MB of "
            f"{target.memory_gb * 1e3:,.0f} MB"
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
(make tpu-compiler): cycles by component, memory, and no measurement.""",
    (
        "python launch/benchmark.py architecture=rdc_g",
        "python launch/benchmark.py architecture=rdc_g benchmark.repeats=50",
        "python launch/benchmark.py architecture=rdc_g hardware=cpu",
        "python launch/benchmark.py architecture=rdc_g hardware=tpu_v4",
    ),
    groups=("architecture", *REGISTRY),
)
