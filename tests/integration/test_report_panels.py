"""Panels of the report in a real browser: each with a sweep of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator
from report_pages import Watched

from analysis import references
from analysis.baselines import KODAK_IMAGES
from analysis.gather import gather
from analysis.reference_points import claimed_savings, claims
from analysis.report.data import ReportData
from analysis.report.page import page as page_of
from analysis.report.page import write_report
from rdc.jobs.layout import REPORT_FILE
from rdc.specs.coding import CodecSettings
from rdc.system.files import read_json
from tests.unit.analysis.answered import write_task
from tests.unit.analysis.builder import CURVE_LAMBDAS, SweepOutput, write_curve
from tests.unit.analysis.estimated import V5E, estimate_decoder
from tests.unit.analysis.invented import architectures


def _right(part: Locator) -> float:
    box = part.bounding_box()
    assert box
    return box["x"] + box["width"]


def test_reference_models_stand_beside_points_on_kodak(
    browser: BrowserContext, tmp_path: Path
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.dataset = "kodak"
    sweep.images = tuple(f"{name}.png" for name in sorted(KODAK_IMAGES))
    sweep.finish(sweep.plan(architectures((32, 64))))
    write_curve(sweep)
    gather(tmp_path)
    write_report(tmp_path)
    watched = Watched(browser, tmp_path)
    page = watched.page
    lmbdas = references.kodak()["lmbda"]
    for plot, points in (
        ("#plot-frontier", lmbdas[lmbdas.isin(CURVE_LAMBDAS)]),  # of the sweep
        ("#plot-quality", lmbdas),
    ):
        models = page.locator(f"{plot} path.reference")
        assert models.count() == len(points)
        assert "60,000 steps" in models.first.locator("title").text_content()
        labels = page.locator(f"{plot} text.baseline-label").all()
        names = [label.text_content() for label in labels]
        assert len(set(names)) == len(names)
        assert page.evaluate(OVERLAPPING, f"{plot} text.baseline-label") == 0
        right = _right(page.locator(f"{plot} svg.chart"))
        assert all(_right(label) <= right for label in labels)
    assert "reference model" in page.locator("#families").inner_text()
    assert "Published codecs are drawn over" in page.inner_text("#frontier-note")
    page.select_option("#select-y", "rd_loss_of_mean_psnr")
    titles = page.locator("#plot-frontier path.reference title").all_text_contents()
    claimed = claims(CURVE_LAMBDAS)
    assert len(titles) == len(claimed) + lmbdas.isin(CURVE_LAMBDAS).sum()
    for claim in claimed.itertuples():
        own = [t for t in titles if t.startswith(f"{claim.label}, published: ")]
        assert own
        assert all(title.endswith(f"source: {claim.source}") for title in own)
    page.select_option("#select-y", "bd_rate_percent")  # against BPG, as table 1
    diamonds = page.locator("#plot-frontier path.reference")
    titles = diamonds.locator("title").all_text_contents()
    assert len(titles) == len(claimed_savings("bpg444-tfc")) == 7
    assert all("Minnen & Johnston 2023, Table 1" in title for title in titles)
    assert "BD-rate (%) -22.86" in titles[0]
    assert "do not state over which range" in page.inner_text("#frontier-note")
    page.click("#family-published")
    assert diamonds.count() == 0
    page.click("#family-published")
    assert diamonds.count() == 7
    assert page.locator("#plot-savings path.own-curve").count() == 1
    axis = page.locator("#plot-savings text", has_text="rate against the anchor")
    assert "BPG 4:4:4" in (axis.text_content() or "")
    page.close()
    assert watched.complaints == []


# How many pairs of texts share a pixel.
OVERLAPPING = """(selector) => {
  const texts = [...document.querySelectorAll(selector)];
  const boxes = texts.map((node) => node.getBoundingClientRect());
  return boxes.flatMap((a, k) => boxes.slice(k + 1).filter((b) => a.left < b.right
    && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
}"""


def test_codecs_measured_here_and_other_settings(
    browser: BrowserContext, tmp_path: Path
) -> None:
    """JPEG is a curve of its own; one coder's points are shown at a time."""
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64)))
    sweep.finish(jobs)
    write_curve(sweep)
    sweep.classical("jpeg")
    sweep.codec = CodecSettings(numerics="exact")
    sweep.evaluate(jobs[-1])
    gather(tmp_path)
    write_report(tmp_path)
    watched = Watched(browser, tmp_path)
    quality = watched.page.locator("#plot-quality")
    assert quality.locator("path.classical").count() == 1
    assert quality.locator("path.own-curve").count() == 1
    assert "JPEG" in quality.locator("text.baseline-label").all_text_contents()
    assert len(watched.runs()) == len(jobs) + len(CURVE_LAMBDAS)
    watched.page.select_option("#select-codec", "range, exact, effort 0")
    assert watched.runs() == [jobs[-1].job_id]
    assert "BD-rate" in watched.page.locator("main").inner_text()
    watched.page.close()
    assert watched.complaints == []


def test_an_axis_of_bd_rates_says_against_what_and_why_points_are_missing(
    browser: BrowserContext, tmp_path: Path
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))))
    write_curve(sweep)
    sweep.classical("jpeg")
    gather(tmp_path)
    write_report(tmp_path)
    watched = Watched(browser, tmp_path, "#y=bd_rate_percent")
    plot = watched.page.locator("#plot-frontier")
    (title,) = [t for t in plot.locator("text").all_text_contents() if "BD-rate" in t]
    assert "JPEG (measured), pchip, 25.00 to 37.00 dB" in title
    note = watched.page.locator("#frontier-note").inner_text()
    assert "missing where it has 1 of at least 4 points" in note
    watched.page.close()
    assert watched.complaints == []


def test_estimates_have_marked_panels_of_their_own(
    browser: BrowserContext, tmp_path: Path
) -> None:
    sweep = SweepOutput(tmp_path / "out")
    for number, job in enumerate(sweep.plan(architectures((32,)))[:3]):
        cycles = {"synthesis_transform": 2_000_000 * (number + 1)}
        estimate_decoder(sweep, job, cycles)
        estimate_decoder(sweep, job, cycles, V5E)
    gather(sweep.out)
    write_report(sweep.out)
    watched = Watched(browser, sweep.out)
    panels = watched.page.locator("#plot-estimates > div")
    heads = panels.locator("h3").all_inner_texts()
    assert heads == ["TPU v4, estimated", "TPU v5 lite, estimated"]
    assert all("no measurement" in n for n in panels.locator("p").all_inner_texts())
    assert panels.nth(0).locator("path.points").count() == 3  # one per family
    # Nothing was timed, and what was estimated does not stand in for it.
    assert watched.page.locator("#plot-times path.points").count() == 0
    watched.page.close()
    assert watched.complaints == []


def test_methods_of_a_task_have_a_panel_and_a_table(
    browser: BrowserContext, tmp_path: Path
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))))
    write_task(tmp_path)
    for spec in tmp_path.glob("splits/*/*/spec.json"):  # a fold is still to come
        job = read_json(spec)
        if (job["method"].get("rate"), job["fold"]) == (60, 1):
            spec.with_name("record.json").unlink()
    gather(tmp_path)
    path = tmp_path / REPORT_FILE
    path.parent.mkdir()
    path.write_text(page_of(ReportData.read(tmp_path)))
    watched = Watched(browser, tmp_path)
    page = watched.page
    plot, note = page.locator("#plot-tasks"), page.locator("#tasks-note")
    chart, rows = plot.locator("svg.chart"), page.locator("#task-methods tbody tr")
    # Three settings each, the student's by two seeds; remote is a diamond, local none.
    assert "9 points" in (chart.get_attribute("aria-label") or "")
    assert plot.locator("path.own-curve").count() == 2
    assert plot.locator("path.reference").count() == 1
    assert "1 of 8 have no bytes per photograph" in note.inner_text()
    assert "Hollow, and on no frontier: not all" in note.inner_text()
    jpeg = plot.locator("path.points[data-family=jpeg]")
    fills = jpeg.evaluate_all("nodes => nodes.map((node) => node.getAttribute('fill'))")
    assert len(fills) == 2
    assert "var(--page)" in fills
    assert rows.count() == 8
    assert page.locator("#plot-frontier path.points").count() > 0
    # Both of the student's first settings dominate every JPEG; its third is no better.
    front = page.locator("#task-methods tr.star td:nth-child(2)").all_inner_texts()
    assert front == ["beta=4", "beta=1"]
    page.select_option("#select-task_x", "encoder_kmacs_per_px")
    assert "4 of 8 have no encoder (kMAC/px)" in note.inner_text()
    assert "jpeg" in note.inner_text()
    assert "6 points" in (chart.get_attribute("aria-label") or "")
    page.select_option("#select-task_y", "kl")
    page.click("#task-methods th[data-key=kl] button")
    kl = page.locator("#task-methods td:nth-child(10)").all_inner_texts()
    assert [float(value) for value in kl] == sorted(map(float, kl))
    page.focus("#plot-tasks svg.chart")
    page.keyboard.press("ArrowRight")
    assert "student beta=" in page.locator("#tip").inner_text()
    page.keyboard.press("Shift+ArrowRight")
    assert "selected in the plot" in page.inner_text("#tasks-count")
    assert rows.count() < 8
    page.click("#clear-tasks")
    page.click("[id='task_hidden-jpeg']")
    assert rows.count() == 5
    assert "task_hidden=jpeg" in page.url
    page.close()
    assert watched.complaints == []


def _all_failed(sweep: SweepOutput) -> None:
    for job in sweep.plan(architectures((32,))):
        sweep.train(job, "failed", "ValueError: no shape")


def _one_point(sweep: SweepOutput) -> None:
    (job,) = sweep.plan(architectures((32,))[:1])
    sweep.train(job)
    sweep.evaluate(job)


def _nothing_ran(sweep: SweepOutput) -> None:
    sweep.plan(architectures((32,)), counted=False)


def _not_a_number(sweep: SweepOutput) -> None:
    """Of one image of one model, whose record is left out and named."""
    for job in sweep.plan(architectures((32,))):
        sweep.train(job)
        path = sweep.evaluate(job)
    record = read_json(path)
    record["result"]["images"][0]["psnr_db"] = float("nan")
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("write", "drawn", "told"),
    [
        (_all_failed, 4, "ValueError: no shape"),
        (_one_point, 1, "missing: no curve compares with an anchor"),
        (_nothing_ran, 0, "missing: no point has both of these"),
        (_not_a_number, 4, "float values are not JSON compliant"),
    ],
)
def test_what_a_sweep_lacks_is_said_on_a_readable_page(
    browser: BrowserContext,
    tmp_path: Path,
    write: Callable[[SweepOutput], None],
    drawn: int,
    told: str,
) -> None:
    sweep = SweepOutput(tmp_path)
    write(sweep)
    gather(tmp_path)
    path = tmp_path / REPORT_FILE
    path.parent.mkdir()
    path.write_text(page_of(ReportData.read(tmp_path)))
    watched = Watched(browser, tmp_path)
    plot = watched.page.locator("#plot-frontier")
    assert told in watched.page.locator("body").inner_text()
    assert plot.locator("path.points, path.gap").count() == drawn
    watched.page.close()
    assert watched.complaints == []
