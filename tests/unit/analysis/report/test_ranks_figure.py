"""Ranks of decoders: of two devices, or against their operations."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import rankdata

from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.ranks_figure import ranks_figure
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import HARDWARE, architectures


def test_of_two_devices_whose_points_compare(mixed_sweep: Path) -> None:
    data = ReportData.read(mixed_sweep)
    (axes,) = ranks_figure(data).axes
    drawn = [tuple(xy) for dots in axes.collections for xy in dots.get_offsets()]
    main, other = (f"decode_ms.{device['id']}.network" for device in data.devices)
    timed = data.frontier[data.frontier["differs_in"] == ""].dropna(
        subset=[main, other]
    )
    expected = zip(rankdata(timed[other]), rankdata(timed[main]), strict=True)
    assert sorted(drawn) == sorted(expected)
    assert "Example GPU" in axes.get_xlabel()


@pytest.mark.parametrize(("timed", "drawn"), [(2, 0), (3, 3)])
def test_of_one_device_against_operations_from_three_on(
    tmp_path: Path, timed: int, drawn: int
) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64)))
    for job in jobs:
        sweep.train(job)
        sweep.evaluate(job)
    for job in jobs[:timed]:
        sweep.benchmark(job, next(iter(HARDWARE)))
    gather(tmp_path)
    (axes,) = ranks_figure(ReportData.read(tmp_path)).axes
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == drawn
    told = axes.get_xlabel() if drawn else axes.texts[0].get_text()
    assert told == (
        "rank by decoder cost" if drawn else "missing: fewer than 3 were timed"
    )
