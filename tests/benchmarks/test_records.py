"""Tables and report of large sweeps, in seconds, memory and bytes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from analysis.baselines import KODAK_IMAGES
from analysis.frontier import pareto_mask
from rdc.specs.components import ArchitectureSpec
from tests.integration.report_pages import open_browser
from tests.needs import needs
from tests.unit.analysis.builder import CURVE_LAMBDAS, SweepOutput
from tests.unit.analysis.invented import architectures

pytestmark = pytest.mark.benchmark

WIDTHS, SEEDS = 250, 10  # of four families: 10 000 runs
# Each in a fresh process: the peak memory is its own.
GATHER = """
import resource, sys, time
from pathlib import Path
from analysis.gather import gather
started = time.perf_counter()
gather(Path(sys.argv[1]))
print(time.perf_counter() - started,
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
REPORT = """
import sys, time
from pathlib import Path
from analysis.report.page import write_report
started = time.perf_counter()
print(write_report(Path(sys.argv[1])).stat().st_size / 1e6,
      time.perf_counter() - started)
"""


RESAMPLE = """
import sys, time
from pathlib import Path
from analysis.measures import DEFAULT_OBJECTIVES
from analysis.uncertainty import resample
started = time.perf_counter()
resample(Path(sys.argv[1]), DEFAULT_OBJECTIVES)
print(time.perf_counter() - started)
"""


def measured(code: str, out: Path) -> tuple[float, ...]:
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(map(float, done.stdout.split()[-2:]))


def test_gather_and_report(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out")
    specs = architectures(range(16, 16 + 2 * WIDTHS, 2))
    for seed in range(SEEDS // 2):  # two records a run: 10 000
        finish(sweep, specs, seed)
    cold_seconds, megabytes = measured(GATHER, sweep.out)
    next(sweep.out.glob("evaluations/*/*/record.json")).touch()
    again_seconds, _ = measured(GATHER, sweep.out)
    for seed in range(SEEDS // 2, SEEDS):
        finish(sweep, specs, seed)
    measured(GATHER, sweep.out)
    (resample_seconds,) = measured(RESAMPLE, sweep.out)
    report_megabytes, report_seconds = measured(REPORT, sweep.out)
    paint_ms, filter_ms = opened(sweep.out, tmp_path / "profile")
    print(
        f"\n10 000 records: gather {cold_seconds:.2f} s cold, {megabytes:.0f} MB, "
        f"{again_seconds:.2f} s with one record changed; "
        f"images of 10 000 points resampled in {resample_seconds:.1f} s; "
        f"report of 10 000 points {report_seconds:.2f} s, {report_megabytes:.1f} MB, "
        f"first paint {paint_ms:.0f} ms, filter {filter_ms:.0f} ms"
    )
    assert cold_seconds <= 3
    assert megabytes <= 500
    assert again_seconds <= 0.5
    assert resample_seconds <= 10
    assert report_seconds <= 5
    assert report_megabytes <= 6
    assert paint_ms <= 2000
    assert filter_ms <= 200


def test_gather_of_curves(tmp_path: Path) -> None:
    """400 curves on Kodak's images, against two measured and four published anchors."""
    sweep = SweepOutput(tmp_path / "out", dataset="kodak")
    sweep.images = tuple(f"{name}.png" for name in sorted(KODAK_IMAGES))
    for rate, lmbda in enumerate(CURVE_LAMBDAS):
        for job in sweep.plan(architectures(range(16, 216, 2)), lmbda=lmbda):
            sweep.train(job)
            sweep.evaluate(job, psnr_db=25.0 + 3 * rate)
    sweep.classical("jpeg")
    sweep.classical("webp")
    measured(GATHER, sweep.out)
    seconds, _ = measured(GATHER, sweep.out)
    print(f"\n400 curves against six anchors: gather {seconds:.2f} s, records known")
    assert seconds <= 3


def test_frontier_of_four_objectives() -> None:
    points = np.random.default_rng(0).normal(size=(10_000, 4))
    started = time.process_time()
    mask = pareto_mask(points)
    seconds = time.process_time() - started
    print(f"\n{mask.sum()} of 10 000 points in 4-D: {seconds:.3f} s of processor time")
    assert seconds <= 0.2


# Hides and shows a family: until the page was drawn again.
FILTER = """async () => {
  const button = document.querySelector("#families button");
  const begun = performance.now();
  button.click();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begun;
}"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def opened(out: Path, profile: Path) -> tuple[float, float]:
    """Milliseconds to the first paint of its report, and of a filter, the median."""
    needs("browser")
    with open_browser(profile) as context:
        page = context.new_page()
        page.goto((out / "report" / "index.html").as_uri())
        page.wait_for_selector("#points tbody tr")
        paint_ms = page.evaluate(PAINT)
        return paint_ms, statistics.median(page.evaluate(FILTER) for _ in range(7))


def finish(sweep: SweepOutput, specs: list[ArchitectureSpec], seed: int) -> None:
    for job in sweep.plan(specs, seed=seed):
        sweep.train(job)
        sweep.evaluate(job)
