"""Tables of `launch/benchmark.py` for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rdc.jobs.records import (
    BenchmarkResult,
    EstimateResult,
    Record,
    TrainingEstimateResult,
)
from rdc.measurements.rows import DecodeTime
from rdc.specs.compiler import CompilerTarget
from rdc.specs.timing import NOTABLE_DRIFT

NOTABLE_CORES = 0.2


def print_times(
    console: Console, label: str, record: Record, described: dict[str, Any]
) -> None:
    """Stages of the decoder, then the parts of encoder and decoder."""
    result = BenchmarkResult.from_dict(record.result)
    first = result.times[0]
    table = Table(
        title=f"{label} on {described['device_kind']}",
        caption=f"{first.height_px} x {first.width_px}, batch {first.batch_size}, "
        f"products in {first.precision}, {first.cpu_threads} threads",
    )
    for title in ("stage", "median ms", "IQR ms", "MP/s", "of roofline"):
        table.add_column(title, justify="right")
    stages: dict[str, list[DecodeTime]] = {}
    for row in result.times:
        stages.setdefault(row.stage, []).append(row)
    pixels = first.batch_size * first.height_px * first.width_px
    for stage, rows in stages.items():
        median, spread = _middle([row.decode_ms for row in rows])
        share, least = "-", rows[0].roofline_ms
        if least is not None:
            share = f"{100 * least / median:.0f} %"
        rates = f"{pixels / median / 1e3:.2f}", share
        table.add_row(stage, f"{median:.2f}", f"{spread:.2f}", *rates)
    console.print(table)
    network = next((rows[0] for rows in stages.values() if rows[0].roofline_ms), None)
    if network is not None and network.memory_bound is not None:
        console.print(
            f"roofline: {network.roofline_ms:.2f} ms at {network.matrix_gflops:.0f} "
            f"GFLOP/s and {network.memory_gb_per_s:.0f} GB/s, as measured in between; "
            f"{100 * network.memory_bound:.0f} % of it waits for memory",
            soft_wrap=True,
        )
    parts: dict[tuple[str, str], list[float]] = {}
    for part in result.components:
        parts.setdefault((part.side, part.component), []).append(part.milliseconds)
    if parts:
        table = Table(title="each part by itself")
        for title in ("side", "part", "median ms", "IQR ms"):
            table.add_column(title, justify="right")
        for (side, component), times in parts.items():
            median, spread = _middle(times)
            table.add_row(side, component, f"{median:.2f}", f"{spread:.2f}")
        console.print(table)
    for rows in stages.values():
        for warning in _warnings(rows[0]):
            console.print(f"[yellow]{rows[0].stage}: {warning}", soft_wrap=True)


def _middle(times: Sequence[float]) -> tuple[float, float]:
    """Median and interquartile range."""
    if len(times) == 1:
        return times[0], 0.0
    first, median, third = statistics.quantiles(times, n=4)
    return median, third - first


def _warnings(row: DecodeTime) -> Iterator[str]:
    """Why times of a block are not to be relied on."""
    if row.drift is not None and abs(row.drift) > NOTABLE_DRIFT:
        yield (
            f"the anchor's time changed by {100 * row.drift:+.0f} % meanwhile, in the "
            f"last of {row.blocks} blocks"
        )
    if row.others_busy_cores is not None and row.others_busy_cores > NOTABLE_CORES:
        yield f"other processes kept {row.others_busy_cores:.1f} cores busy"
    if row.is_throttled:
        yield "the device held its clock down"


def print_estimates(
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
        if row.decode_ms is None or not network.decode_ms:
            table.add_row(row.component, "does not fit", "-", "-")
            continue
        cycles = "-" if row.cycles is None else f"{row.cycles:,}"
        share = f"{100 * row.decode_ms / network.decode_ms:.0f} %"
        table.add_row(row.component, cycles, f"{row.decode_ms:.2f}", share)
    console.print(table)
    if network.peak_bytes is not None:
        console.print(
            f"memory: {network.peak_bytes / 1e6:,.0f} MB of "
            f"{target.memory_gb * 1e3:,.0f} MB"
        )


def print_step(
    console: Console, label: str, record: Record, target: CompilerTarget
) -> None:
    result = TrainingEstimateResult.from_dict(record.result)
    step = result.estimate
    table = Table(
        title=f"training step of {label} on {target.device_kind}: an estimate of "
        f"{result.compiler}, no measurement",
        caption=f"forward, backward and optimiser; products in {step.precision}, "
        f"{target.clock_mhz:g} MHz; {target.note}",
    )
    for title in ("batch", "cycles", "ms", "images/s", "memory MB", "fits"):
        table.add_column(title, justify="right")
    batch = f"{step.batch_size} x {step.crop_px} px"
    if step.step_ms is None or step.peak_bytes is None:
        table.add_row(batch, "does not fit", "-", "-", "-", "no")
    else:
        table.add_row(
            batch,
            "-" if step.cycles is None else f"{step.cycles:,}",
            f"{step.step_ms:.2f}",
            f"{1e3 * step.batch_size / step.step_ms:.0f}",
            f"{step.peak_bytes / 1e6:,.0f} of {target.memory_gb * 1e3:,.0f}",
            "yes" if step.fits else "no",
        )
    console.print(table)
