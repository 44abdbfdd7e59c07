"""The report in a real browser, without a network."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext
from report_pages import Watched

from analysis.frontier import pareto_mask
from analysis.measures import MEASURES
from analysis.report.page import write_report
from analysis.tables import read_tables
from tests.unit.analysis.conftest import write_mixed_sweep


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = write_mixed_sweep(tmp_path_factory.mktemp("browser") / "out")
    write_report(out)
    return out


@pytest.fixture
def watched(browser: BrowserContext, out: Path) -> Iterator[Watched]:
    watched = Watched(browser, out)
    yield watched
    watched.page.close()
    assert watched.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in watched.requests)


def test_opens_without_complaint_or_network(watched: Watched) -> None:
    requests = [url for url in watched.requests if not url.startswith("data:")]
    assert requests == [watched.url]
    assert watched.page.locator("svg.chart").count() == 6
    assert watched.page.locator("#bars .bar").count() == 20
    assert "NOT COMPARABLE" in watched.page.locator("#kodak-note").inner_text()


def test_table_holds_every_run_and_the_frontier_of_the_tables(
    watched: Watched, out: Path
) -> None:
    table = read_tables(out)["frontier"]
    assert sorted(watched.runs()) == sorted(table["run_id"])
    stars = {
        run
        for run, star in zip(watched.runs(), watched.column("star"), strict=True)
        if star
    }
    assert stars == set(table.loc[table["on_frontier"], "run_id"])
    assert watched.column("rd_loss").count("missing") == 7
    assert watched.page.locator("#points tr.gap").count() == 7


def test_plots_mark_gaps_and_other_conditions(watched: Watched) -> None:
    plot = watched.page.locator("#plot-frontier")
    assert plot.locator("path.gap").count() == 7
    assert plot.locator("path.points[fill='var(--page)']").count() == 1
    assert plot.locator("path.staircase").count() == 1
    assert watched.page.locator("#plot-quality path.baseline.foreign").count() == 4
    assert "rdc_d" in plot.locator("text.label").all_text_contents()


def test_ranks_are_against_another_device_or_operations(watched: Watched) -> None:
    plot = watched.page.locator("#plot-ranks")
    assert "Example GPU" in " ".join(plot.locator("text").all_text_contents())
    drawn = plot.locator("path.points").evaluate_all(
        "nodes => nodes.map((node) => node.getAttribute('d'))"
    )
    watched.page.select_option("#select-against", "")
    texts = plot.locator("text").all_text_contents()
    assert "rank by decoder cost" in texts
    assert drawn != plot.locator("path.points").evaluate_all(
        "nodes => nodes.map((node) => node.getAttribute('d'))"
    )


def test_axes_of_the_frontier_are_any_measures(watched: Watched, out: Path) -> None:
    chosen = ["decode_ms", "psnr_db"]
    for axis, name in zip("xy", chosen, strict=True):
        watched.page.select_option(f"#select-{axis}", name)
    table = read_tables(out)["frontier"]
    table = table[table["rd_loss"].notna() & (table["differs_in"] == "")]
    mask = pareto_mask(table[chosen].to_numpy(), [True, False])
    runs = zip(watched.runs(), watched.column("star"), strict=True)
    assert {run for run, star in runs if star} == set(table.loc[mask, "run_id"])
    plot = watched.page.locator("#plot-frontier")
    titles = plot.locator("text").all_text_contents()
    assert MEASURES["psnr_db"].title in titles
    assert MEASURES["decode_ms"].title in titles
    assert plot.locator("path.staircase").count() == 1
    assert "more PSNR" in watched.page.locator("#frontier-note").inner_text()
    assert "x=decode_ms" in watched.page.evaluate("location.hash")
    watched.page.locator("#reset").click()
    titles = plot.locator("text").all_text_contents()
    assert MEASURES["kflops_per_px"].title in titles


def test_headings_sort_and_missing_stays_last(watched: Watched) -> None:
    watched.page.locator("th[data-key=rd_loss] button").click()
    values = watched.column("rd_loss")
    numbers = [float(value) for value in values if value != "missing"]
    assert numbers == sorted(numbers)
    assert values[len(numbers) :] == ["missing"] * 7
    heading = watched.page.locator("th[data-key=rd_loss]")
    assert heading.get_attribute("aria-sort") == "ascending"
    watched.page.keyboard.press("Enter")  # the heading keeps the focus
    values = watched.column("rd_loss")
    assert [float(v) for v in values[: len(numbers)]] == numbers[::-1]
    assert values[-1] == "missing"


def test_family_filter_is_kept_in_the_address(
    watched: Watched, browser: BrowserContext, out: Path
) -> None:
    paths = "#plot-frontier path.points[data-family='elic/charm:conv']"
    assert watched.page.locator(paths).count() >= 1
    watched.page.locator("button.chip", has_text="elic/charm:conv").click()
    assert watched.page.locator(paths).count() == 0
    assert "elic/charm:conv" not in " ".join(watched.column("family"))
    assert len(watched.runs()) == 15
    state = watched.page.evaluate("location.hash")
    again = Watched(browser, out, state)
    assert again.runs() == watched.runs()
    again.page.locator("#reset").click()
    assert len(again.runs()) == 20
    assert again.page.evaluate("location.hash") == ""
    again.page.close()
    assert again.complaints == []


def test_hardware_steps_and_axis_filters(watched: Watched) -> None:
    cpu = watched.column("decode_ms.network")
    watched.page.select_option("#select-hardware", label="Example GPU")
    gpu = watched.column("decode_ms.network")
    assert gpu != cpu
    assert gpu.count("missing") == cpu.count("missing") + 1
    watched.page.select_option("#select-steps", "2000")
    assert set(watched.column("steps")) == {"2,000"}
    watched.page.select_option("#select-cost", "linear")
    assert "cost=linear" in watched.page.evaluate("location.hash")


def test_search_and_download_give_the_same_rows(watched: Watched) -> None:
    watched.page.fill("#search", "elic 44/64")
    runs = watched.runs()
    assert len(runs) == 2
    with watched.page.expect_download() as download:
        watched.page.click("#download")
    with open(download.value.path(), newline="") as file:
        assert [row["run_id"] for row in csv.DictReader(file)] == runs


def test_keyboard_steps_through_points_and_tells_about_them(watched: Watched) -> None:
    chart = watched.page.locator("#plot-frontier svg.chart")
    chart.focus()
    watched.page.keyboard.press("ArrowRight")
    tip = watched.page.locator("#tip")
    assert tip.is_visible()
    first = tip.inner_text()
    assert "kFLOPs/px" in first
    assert "quartiles" in first
    watched.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    assert watched.page.locator("circle.ring").count() == 6  # in every plot
    chart.blur()
    assert not tip.is_visible()


def test_brush_selects_in_every_plot_and_in_the_table(watched: Watched) -> None:
    chart = watched.page.locator("#plot-frontier svg.chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    mouse = watched.page.mouse
    mouse.move(box["x"] + 60, box["y"] + 45)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 50, steps=4)
    mouse.up()
    selected = watched.runs()
    assert 0 < len(selected) < 20
    page = watched.page
    charts = page.locator("svg.chart").count()
    faded = page.locator("svg.chart:has(path.faded.points)")
    assert faded.count() == charts > 2
    chart.focus()
    page.keyboard.press("Escape")
    assert len(watched.runs()) == 20
    assert faded.count() == 0
    mouse.down()
    mouse.move(box["x"] + 60, box["y"] + 45, steps=4)
    mouse.up()
    assert watched.runs() == selected
    page.click("#clear-brush")
    assert len(watched.runs()) == 20


def test_keyboard_brushes_as_the_pointer_does(watched: Watched) -> None:
    """From one point to another in the order across; in every plot and the table."""
    page, press = watched.page, watched.page.keyboard.press
    chart = page.locator("#plot-frontier svg.chart")
    page.locator("#families button").last.focus()
    press("Tab")
    assert chart.evaluate("node => node === document.activeElement")
    press("ArrowRight")
    for _ in range(3):
        press("Shift+ArrowRight")
    costs = sorted(
        float(value.replace(",", "")) for value in watched.column("kflops_per_px")
    )
    assert len(watched.runs()) == 4
    assert "4 of 20 points, selected" in page.inner_text("#count")
    assert chart.evaluate("node => node === document.activeElement")
    assert page.locator("#tip").is_visible()
    faded = page.locator("svg.chart:has(path.faded.points)")
    assert faded.count() == page.locator("svg.chart").count()
    press("Shift+ArrowLeft")
    assert len(watched.runs()) == 3
    press("Escape")
    assert len(watched.runs()) == 20
    assert chart.evaluate("node => node === document.activeElement")
    every = sorted(
        float(value.replace(",", "")) for value in watched.column("kflops_per_px")
    )
    assert costs == every[:4]


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(watched: Watched, width: int) -> None:
    watched.page.set_viewport_size({"width": width, "height": 800})
    watched.page.wait_for_timeout(300)
    wide = watched.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    clipped = watched.page.evaluate(
        """() => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
          const frame = chart.getBoundingClientRect();
          return [...chart.querySelectorAll("text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1;
          }).map((text) => text.textContent);
        })"""
    )
    assert clipped == []


def test_prints_without_controls(watched: Watched) -> None:
    watched.page.emulate_media(media="print")
    assert not watched.page.locator("#selects").is_visible()
    assert watched.page.locator("#families").is_visible()  # the key of the plots
    assert watched.page.locator("#plot-frontier svg").is_visible()
    table = watched.page.locator("#points").bounding_box()
    assert table
    assert table["width"] <= 1280
    watched.page.emulate_media(media="screen")
