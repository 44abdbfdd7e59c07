"""Estimates in tables, plots and ranks: marked, and never among times."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.decode_estimates import network_estimates
from analysis.gather import gather
from analysis.measures import MEASURES
from analysis.report.data import ReportData
from analysis.report.figures import decode_time_figure
from analysis.report.page import write_report
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.estimated import (
    V4,
    V5E,
    estimate_decoder,
    estimate_step,
)
from tests.unit.analysis.invented import architectures

KINDS = ("TPU v4", "TPU v5 lite")


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight architectures, two timed, all estimated for two devices."""
    sweep = SweepOutput(tmp_path_factory.mktemp("estimated") / "out")
    jobs = sweep.plan(architectures((32, 64)))
    for place, job in enumerate(jobs):
        cycles = {"synthesis_transform": 2_000_000 * (place + 1), "other": 100_000}
        estimate_decoder(sweep, job, cycles)
        estimate_decoder(sweep, job, cycles if place else None, V5E)
        estimate_step(sweep, job, 10_000_000 * (place + 1))
    for job in jobs[:2]:
        sweep.benchmark(job, trained=False)
    gather(sweep.out)
    return sweep.out


def test_tables_hold_them_apart(estimated: Path) -> None:
    tables = ReportData.read(estimated).tables
    assert len(tables["decode_times"]) == 10
    assert len(tables["decode_estimates"]) == 8 * 3 + 1 + 7 * 3
    assert set(tables["decode_estimates"]["source"]) == {"compiler"}
    timed = [c for c in tables["frontier"] if c.startswith("decode_ms.")]
    assert timed == ["decode_ms.c0ffee00c0ffee00.network"]
    steps = tables["training_estimates"]
    assert steps["step_ms"].min() == pytest.approx(1e7 / 1050e3)
    assert set(steps["device_note"]) == {V4.note}
    assert (steps["clock_mhz"] == 1050).all()


def test_one_row_per_architecture_and_device(estimated: Path) -> None:
    rows = network_estimates(ReportData.read(estimated).tables)
    assert rows["device_kind"].value_counts().to_dict() == dict.fromkeys(KINDS, 8)
    assert rows["decode_ms"].isna().sum() == 1
    assert rows["kflops_per_px"].notna().all()


def test_an_estimate_may_be_an_objective(estimated: Path) -> None:
    """Of one device, in a column of its own: times stay what was measured."""
    table = ReportData.read(estimated).frontier
    rows = network_estimates(ReportData.read(estimated).tables)
    own = rows[rows["device_kind"] == KINDS[0]].set_index("arch_id")["decode_ms"]
    assert (table["estimated_device_kind"] == KINDS[0]).all()
    found = table.set_index("arch_id")["estimated_decode_ms"]
    pd.testing.assert_series_equal(found, own[found.index], check_names=False)
    assert table["decode_ms"].notna().sum() == 2
    assert "not measured" in MEASURES["estimated_decode_ms"].title


def test_another_size_is_not_mixed_in(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out")
    jobs = sweep.plan(architectures((32,)))[:3]
    for job in jobs:
        path = estimate_decoder(sweep, job, {"synthesis_transform": 10**6})
    record = read_json(path)
    for row in record["result"]["estimates"]:
        row["height_px"] = 1365
    write_json_atomically(path, record)
    rows = network_estimates(gather(sweep.out))
    assert len(rows) == 2
    assert set(rows["height_px"]) == {512}


def test_records_without_note_and_clock_count(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out")
    (job,) = sweep.plan(architectures((32,))[:1])
    path = estimate_decoder(sweep, job, {"synthesis_transform": 10**6})
    record = read_json(path)
    del record["result"]["device_note"], record["result"]["clock_mhz"]
    write_json_atomically(path, record)
    (row,) = network_estimates(gather(sweep.out)).to_dict("records")
    assert (row["device_note"], row["cycles"]) == ("", 10**6)
    assert pd.isna(row["clock_mhz"])


def test_the_figure_has_marked_panels_of_their_own(estimated: Path) -> None:
    figure = decode_time_figure(ReportData.read(estimated))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        *("network", "entropy coding", "end to end"),
        *("TPU v4, estimated", "TPU v5 lite, estimated"),
    ]
    for axes in figure.axes[3:]:
        assert "no measurement" in axes.get_ylabel()
    points = [sum(len(c.get_offsets()) for c in a.collections) for a in figure.axes]
    assert points == [2, 0, 0, 8, 7]


def test_ranks_and_the_page_say_what_is_no_measurement(estimated: Path) -> None:
    text = write_report(estimated).read_text()
    ranks = text[text.index("Do FLOPs predict") :]
    assert "missing: fewer than three architectures timed" in ranks
    assert "TPU v4, estimated" in ranks
    assert "no measurement" in ranks
    table = pd.read_csv(estimated / "report" / "estimated_ranks.csv")
    assert list(table["architectures"]) == [8, 7]
    assert table["kendall_tau_b"].between(-1, 1).all()
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert found
    devices = json.loads(found.group(1))["estimates"]
    assert [device["name"] for device in devices] == [
        "TPU v4, estimated",
        "TPU v5 lite, estimated",
    ]
    assert all("no measurement" in device["note"] for device in devices)
    assert [device["network_ms"].count(None) for device in devices] == [0, 1]


def test_a_sweep_without_estimates_has_no_such_panels(mixed_sweep: Path) -> None:
    data = ReportData.read(mixed_sweep)
    assert data.estimates.empty
    assert data.estimated_ranks.empty
    assert len(decode_time_figure(data).axes) == 3
