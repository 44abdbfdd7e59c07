from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.page import page, write_report
from rdc.errors import DataError
from tests.unit.analysis.builder import SweepOutput, architectures


def payload(text: str) -> dict:
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def report(mixed_sweep: Path) -> Path:
    return write_report(mixed_sweep)


def test_writes_one_page_with_figures_and_csv(report: Path, mixed_sweep: Path) -> None:
    assert report == mixed_sweep / "report" / "index.html"
    names = {path.name for path in (report.parent / "figures").iterdir()}
    plots = ("frontier", "decode_time", "rate_distortion", "cost_breakdown")
    assert names == {f"{p}.{k}" for p in plots for k in ("svg", "png", "pdf")}
    for path in (report.parent / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 1000
            assert image.convert("L").getextrema()[0] < 50  # something is drawn
    frontier = pd.read_csv(report.parent / "frontier.csv")
    assert len(frontier) == 20
    assert len(pd.read_csv(report.parent / "rank_correlation.csv")) == 6


def test_figures_are_the_same_for_the_same_data(
    report: Path, mixed_sweep: Path
) -> None:
    figures = sorted((report.parent / "figures").iterdir())
    before = {path.name: path.read_bytes() for path in figures}
    write_report(mixed_sweep)
    assert {path.name: path.read_bytes() for path in figures} == before


def test_page_names_nothing_outside_itself(report: Path) -> None:
    text = report.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert not re.findall(r"@import|url\((?!#)|fetch\(|XMLHttpRequest", text)
    assert set(re.findall(r"https?://[^\"\s<]+", text)) == {
        "http://www.w3.org/2000/svg"
    }


def test_page_says_what_it_shows(report: Path) -> None:
    text = report.read_text()
    assert "<h1>Rate-distortion-computation frontier of example on val</h1>" in text
    assert "13 of 20 runs measured" in text
    assert "1 points were made under other conditions than most (steps)" in text
    assert "record.json: the record is not valid JSON" in text
    assert "Example GPU" in text
    assert "abc1234" in text
    assert "tensorflow/compression" in text


def test_text_from_records_is_escaped(report: Path) -> None:
    text = report.read_text()
    assert "ValueError: &lt;b&gt;no&lt;/b&gt; shape" in text
    assert "<b>no</b>" not in text


def test_data_of_the_page_equal_the_table(report: Path, mixed_sweep: Path) -> None:
    points = payload(report.read_text())["points"]
    table = ReportData.read(mixed_sweep).frontier
    codes, values = points["run_id"]["codes"], points["run_id"]["values"]
    assert [values[code] for code in codes] == table["run_id"].tolist()
    for column in ("rd_loss", "kflops_per_px", "decode_ms.c0ffee00c0ffee00.network"):
        found = pd.Series(points[column], dtype=float)
        pd.testing.assert_series_equal(
            found, table[column], check_names=False, rtol=1e-5
        )


def test_configuration_text_holds_only_what_differs(mixed_sweep: Path) -> None:
    texts = ReportData.read(mixed_sweep).configurations
    assert texts.str.contains("transform.channels=").all()
    assert not texts.str.contains("kernel").any()


def test_cost_breakdown_adds_up(mixed_sweep: Path) -> None:
    data = ReportData.read(mixed_sweep)
    sums = data.cost_breakdown.sum(axis=1).to_numpy()
    assert (sums[1:] >= sums[:-1]).all()
    costs = sorted(data.tables["architectures"]["kflops_per_px"])
    assert sums.tolist() == pytest.approx(costs)


@pytest.mark.parametrize("counted", [False, True])
def test_report_before_anything_ran(tmp_path: Path, counted: bool) -> None:
    SweepOutput(tmp_path).plan(architectures((32,)), counted=counted)
    gather(tmp_path)
    text = write_report(tmp_path).read_text()
    assert "nothing evaluated yet" in text
    assert "missing: fewer than three architectures timed" in text


def test_report_of_one_run_without_sweep_json(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "solo")
    sweep.finish(sweep.plan(architectures((32,))[:1]))
    (sweep.out / "sweep.json").unlink()
    gather(sweep.out)
    text = write_report(sweep.out).read_text()
    assert "frontier of solo on val" in text


def test_damaged_sweep_json_is_named(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))))
    (tmp_path / "sweep.json").write_text("{")
    gather(tmp_path)
    assert "sweep.json is not valid JSON" in page(ReportData.read(tmp_path))


def test_report_needs_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs the tables"):
        write_report(tmp_path)


def test_published_curves_compare_on_kodak_alone(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path, dataset="photos")
    sweep.images = tuple(f"kodim{n:02d}.png" for n in range(1, 25))
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    sweep.dataset, sweep.images = "a_kodak", sweep.images[:5]
    sweep.evaluate(jobs[0])
    gather(tmp_path)
    datasets = ReportData.read(tmp_path).datasets
    assert datasets == [
        {"name": "photos", "images": 24, "kodak": True},
        {"name": "a_kodak", "images": 5, "kodak": False},
    ]


def test_thousand_points_stay_small_and_quick(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path, images=("one.png",), repeats=1)
    jobs = sweep.plan(architectures(range(24, 524, 2)))
    for job in jobs:
        sweep.train(job)
        sweep.evaluate(job)
    gather(tmp_path)
    start = time.perf_counter()
    path = write_report(tmp_path)
    assert time.perf_counter() - start < 20  # about 3 s on an idle core
    assert path.stat().st_size < 600_000
