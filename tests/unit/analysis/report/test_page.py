from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.frontier import pareto_mask
from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.page import page, write_report
from rdc.errors import ConfigError, DataError
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import HARDWARE, architectures


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
    plots = {
        *("frontier", "published", "winners", "ranks", "decode_time"),
        *("rate_distortion", "cost_breakdown", "bd_rate", "savings"),
    }
    assert names == {f"{p}.{k}" for p in plots for k in ("svg", "png", "pdf")}
    for path in (report.parent / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 1000
            assert image.convert("L").getextrema()[0] < 50  # something is drawn
    assert "<h2>Tasks</h2>" not in report.read_text()
    assert not (report.parent / "task_methods.csv").exists()
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


def test_frontier_of_any_objectives(mixed_sweep: Path, tmp_path: Path) -> None:
    out = shutil.copytree(mixed_sweep, tmp_path / "out")
    objectives = ("params_total", "psnr_db", "decode_ms")
    values = payload(write_report(out, objectives).read_text())
    assert values["objectives"] == list(objectives)
    assert values["axes"] == list(objectives[:2])
    titles = {measure["name"]: measure["title"] for measure in values["measures"]}
    svg = (out / "report" / "figures" / "frontier.svg").read_text()
    for name in values["axes"]:
        assert titles[name][1:] in svg
    marked = pd.read_csv(out / "report" / "frontier.csv")
    comparable = marked[marked["rd_loss"].notna() & marked["differs_in"].isna()]
    mask = pareto_mask(comparable[list(objectives)].to_numpy(), [True, False, True])
    assert comparable["on_frontier"].tolist() == mask.tolist()
    with pytest.raises(ConfigError, match="unknown measure"):
        write_report(out, ("speed",))


def test_codecs_measured_here_are_their_own_curves(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64))))
    sweep.classical("jpeg")
    sweep.classical("webp")
    gather(tmp_path)
    text = write_report(tmp_path).read_text()
    values = payload(text)
    assert [codec["label"] for codec in values["classical"]] == ["JPEG", "WebP"]
    assert all(codec["dataset"] == "val" for codec in values["classical"])
    assert len(values["classical"][0]["bpp"]) == 10
    assert (
        "JPEG, measured here"
        in (tmp_path / "report/figures/rate_distortion.svg").read_text()
    )
    assert "it has 1 of at least 4 points (8 curves)" in text
    assert "JPEG 1.0 on val (4 images)" in text


def test_saved_rates_say_anchor_interpolation_and_range(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep)
    sweep.classical("jpeg")
    gather(tmp_path)
    text = page(ReportData.read(tmp_path))
    row = re.search(r"<td[^>]*>JPEG, measured</td>.*?</tr>", text)
    assert row
    cells = re.findall(r">([^<]+)</td>", row.group())
    assert cells == [
        "JPEG, measured",
        "+0.00 %",
        "25.00 to 37.00 dB, 5 points",
        "pchip",
    ]
    curve = payload(text)["points"]["curve"]
    assert len(set(curve)) == 1
    assert curve[0] >= 0


def test_jobs_elsewhere_and_times_under_other_conditions_are_told_of(
    tmp_path: Path,
) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    sweep.repeats = 3
    sweep.benchmark(jobs[0], cpu_threads=1)
    planned, actual = HARDWARE
    path = sweep.benchmark(jobs[1], actual, planned_hardware_id=planned)
    gather(tmp_path)
    text = page(ReportData.read(tmp_path))
    assert "1 jobs ran on other hardware than planned" in text
    record = path.relative_to(tmp_path)
    assert f"{record}: planned {planned}, ran on {actual}" in text
    assert "3 medians of decode times were taken under other conditions" in text
    assert "cpu threads 2" in text


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


def test_thousand_points_stay_small(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path, images=("one.png",), repeats=1)
    jobs = sweep.plan(architectures(range(24, 524, 2)))
    for job in jobs:
        sweep.train(job)
        sweep.evaluate(job)
    gather(tmp_path)
    path = write_report(tmp_path)
    assert path.stat().st_size < 600_000
