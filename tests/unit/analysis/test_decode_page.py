"""The page of decode estimates, beside measured times."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.decode_page import page, write_page
from analysis.gather import gather
from rdc.errors import DataError
from rdc.jobs.job import EstimateJob
from rdc.jobs.records import EstimateResult
from rdc.measurements.rows import DecodeEstimate
from rdc.specs.compiler import CompilerTarget
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures

V4 = CompilerTarget(
    device_kind="TPU v4", topology="v4:2x2x1", clock_mhz=1050.0, memory_gb=17.2
)


def rows(cycles: dict[str, int | None], peak_bytes: int | None) -> tuple:
    return tuple(
        DecodeEstimate(
            height_px=512,
            width_px=768,
            precision="bfloat16",
            component=component,
            cycles=count,
            decode_ms=None if count is None else count / 1050e3,
            peak_bytes=peak_bytes,
            fits=peak_bytes is not None,
            source="compiler",
        )
        for component, count in cycles.items()
    )


@pytest.fixture
def sweep(tmp_path: Path) -> SweepOutput:
    output = SweepOutput(tmp_path / "out")
    jobs = output.plan(architectures((20,)))[:2]
    parts = ({"synthesis_transform": 2_100_000, "other": 0}, {"network": None})
    for job, cycles, peak in zip(jobs, parts, (335e6, None), strict=True):
        if "other" in cycles:
            cycles = {**cycles, "network": 2_100_000}
        estimate = EstimateJob(
            architecture=job.model.architecture,
            target=V4,
            height_px=512,
            width_px=768,
        )
        result = EstimateResult(
            arch_id=job.arch_id,
            device_kind="TPU v4",
            compiler="libtpu 0.0.42.1",
            estimates=rows(cycles, None if peak is None else int(peak)),
        )
        output._record(estimate, result)
        output.benchmark(job)
    return output


def test_estimates_and_times_stand_in_columns_of_their_own(sweep: SweepOutput) -> None:
    tables = gather(sweep.out)
    assert len(tables["decode_estimates"]) == 4
    assert set(tables["decode_estimates"]["source"]) == {"compiler"}
    text = write_page(sweep.out, sweep.out / "page.md").read_text()
    (head,) = [line for line in text.splitlines() if "kFLOPs/px" in line]
    assert "TPU v4, estimated" in head
    assert "measured" in head
    assert "| 2.00 (1) |" in text
    assert "| 100 % | 0 % |" in text
    assert "| TPU v4 | 335 | yes |" in text
    assert "| TPU v4 | - | no |" in text
    assert "hardware=$device" in text
    assert "for device in tpu_v4;" in text


def test_without_estimates_there_is_no_page(tmp_path: Path) -> None:
    output = SweepOutput(tmp_path / "out")
    output.finish(output.plan(architectures((20,))))
    with pytest.raises(DataError, match="has some"):
        page(gather(output.out))
