from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from analysis.gather import gather
from analysis.report.page import write_report
from analysis.report.terminal import print_frontier
from analysis.tables import read_tables
from rdc.errors import DataError
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures


def printed(out: Path, width: int = 140) -> str:
    file = io.StringIO()
    print_frontier(out, Console(file=file, width=width))
    return file.getvalue()


def test_prints_measured_points_cheapest_first(mixed_sweep: Path) -> None:
    write_report(mixed_sweep)
    text = printed(mixed_sweep)
    # Rows of the table: a family, then the cost as their first number.
    row = re.compile(r"[a-z0-9]+/[a-z0-9]+:.*?\s{2,}([\d.]+)\s")
    lines = [line for line in text.splitlines() if row.search(line)]
    table = read_tables(mixed_sweep)["frontier"]
    measured = table[table["rd_loss"].notna()]
    assert len(lines) == len(measured)
    costs = [float(row.findall(line)[0]) for line in lines]
    assert costs == sorted(costs)
    assert sum("★" in line for line in lines) == table["on_frontier"].sum()
    assert "rdc_d" in text
    assert "20 runs: 13 measured, 1 not evaluated, 1 failed, 1 diverged" in text
    assert str(mixed_sweep / "report" / "index.html") in text


def test_missing_times_are_called_missing(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    for job in jobs:
        sweep.train(job)
        sweep.evaluate(job)
    gather(tmp_path)
    assert printed(tmp_path).count("missing") == len(jobs) + 1  # and the hardware


def test_says_that_nothing_was_measured(tmp_path: Path) -> None:
    SweepOutput(tmp_path).plan(architectures((32,)))
    gather(tmp_path)
    text = printed(tmp_path)
    assert "No run was measured yet." in text
    assert "4 runs: 4 pending" in text
    assert "index.html" not in text


def test_needs_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs the tables"):
        printed(tmp_path)
