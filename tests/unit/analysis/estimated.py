"""Records of what a compiler is made up to expect of decoders and training steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdc.jobs.estimates import EstimateJob, TrainingEstimateJob
from rdc.jobs.job import TrainJob
from rdc.jobs.records import EstimateResult, TrainingEstimateResult
from rdc.measurements.rows import DecodeEstimate, TrainingEstimate
from rdc.specs.compiler import CompilerTarget
from tests.unit.analysis.builder import SweepOutput

V4 = CompilerTarget(
    device_kind="TPU v4",
    topology="v4:2x2x1",
    clock_mhz=1050.0,
    memory_gb=17.2,
    note="one of the two TensorCores of a chip",
)
V5E = CompilerTarget(
    device_kind="TPU v5 lite", topology="v5e:2x2", clock_mhz=1500.0, memory_gb=16.0
)
COMPILER = "libtpu 0.0.42.1"


def _told(target: CompilerTarget) -> dict[str, Any]:
    return {
        "device_kind": target.device_kind,
        "device_note": target.note,
        "clock_mhz": target.clock_mhz,
        "compiler": COMPILER,
    }


def estimate_decoder(
    sweep: SweepOutput,
    job: TrainJob,
    cycles: Mapping[str, int] | None,
    target: CompilerTarget = V4,
    peak_bytes: int = 335_000_000,
) -> Path:
    """Cycles by component, to which that of the network comes; None: does not fit."""
    counts: dict[str, int | None] = {"network": None}
    if cycles is not None:
        counts = {**cycles, "network": sum(cycles.values())}
    rows = [
        DecodeEstimate(
            height_px=512,
            width_px=768,
            precision="bfloat16",
            component=component,
            cycles=count,
            decode_ms=None if count is None else target.milliseconds(count),
            peak_bytes=None if count is None else peak_bytes,
            fits=count is not None,
            source="compiler",
        )
        for component, count in counts.items()
    ]
    estimate = EstimateJob(
        architecture=job.model.architecture,
        target=target,
        height_px=512,
        width_px=768,
    )
    result = EstimateResult(arch_id=job.arch_id, estimates=tuple(rows), **_told(target))
    return sweep._record(estimate, result)


def estimate_step(
    sweep: SweepOutput, job: TrainJob, cycles: int | None, target: CompilerTarget = V4
) -> Path:
    """Of the step of a training; None: does not fit."""
    recipe = job.model.recipe
    row = TrainingEstimate(
        batch_size=recipe.batch_size,
        crop_px=recipe.crop_px,
        num_rates=len(job.model.rates),
        network_precision=recipe.precision,
        accumulate=recipe.accumulate,
        remat=recipe.remat,
        precision=target.precision,
        cycles=cycles,
        step_ms=None if cycles is None else target.milliseconds(cycles),
        peak_bytes=None if cycles is None else 10**9,
        fits=cycles is not None,
        source="compiler",
    )
    result = TrainingEstimateResult(arch_id=job.arch_id, estimate=row, **_told(target))
    return sweep._record(TrainingEstimateJob.of(job.model, target), result)
