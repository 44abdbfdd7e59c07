"""Tables and pages of tasks, from answers that are made up and counted by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.page import page as report_page
from analysis.report.tasks_section import tasks_payload
from analysis.tables import LOCAL, REMOTE
from analysis.task_curves import curves, difference, label_of
from analysis.task_results import task_results
from analysis.tasks_page import write_page
from rdc.errors import DataError
from rdc.jobs.layout import OUT_SCHEMA_VERSION, SWEEP_FILE
from rdc.system.files import write_json_atomically
from sweeps.plan import Plan
from sweeps.plan_file import write_plan
from tests.unit.analysis.answered import write_task


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("out")
    write_plan(place, Plan("tasks", ()))
    sweep = {"schema_version": OUT_SCHEMA_VERSION, "grid": "tasks"}
    write_json_atomically(place / SWEEP_FILE, sweep)
    write_task(place)
    return place


def test_results_are_over_all_folds(out: Path) -> None:
    table = gather(out)["task_results"].set_index(["method", "setting", "seed"])
    jpeg = table.loc[("jpeg", "rate=20", 0)]
    assert (jpeg["image_count"], jpeg["bytes_per_datum"]) == (12, 800)
    assert jpeg["metric"] == pytest.approx(4 / 6)
    assert jpeg["distortion"] == pytest.approx(2 / 6)
    assert jpeg["se"] == pytest.approx((4 / 6 * 2 / 6 / 12) ** 0.5)
    assert jpeg["bpp"] == pytest.approx(8 * 800 / 200)
    assert pd.isna(jpeg[["encoder_bits", "exr", "coded_over_estimated"]]).all()
    student = table.loc[("student", "beta=1", 1)]
    assert student["exr"] == 1000 * student["bytes_per_datum"] == 402_000
    assert student["coded_over_estimated"] == pytest.approx(8 / 7.92 - 1)
    assert student["teacher_agreement"] == 1
    remote, local = table.loc[(REMOTE, "", 0)], table.loc[(LOCAL, "", 0)]
    assert remote["metric"] == local["metric"] == pytest.approx(10 / 12)
    assert (remote["tail_kmacs_per_px"], local["tail_kmacs_per_px"]) == (20, 0)
    assert pd.isna(remote["encoder_bits"])
    assert local["encoder_bits"] == 3200
    assert pd.isna(local["bytes_per_datum"])


def test_a_sweep_without_tasks_has_an_empty_table(out: Path) -> None:
    assert task_results(gather(out)["task_answers"].iloc[:0]).empty


def test_methods_are_compared_at_equal_bytes(out: Path) -> None:
    """From 400 to 800 bytes, which both have: the student answers all photographs, JPEG
    from a third to two thirds of them.
    """
    found = curves(gather(out)["task_answers"])
    assert set(found) == {"jpeg", "student"}
    right = difference(found["student"], found["jpeg"], "right")
    assert right is not None
    assert (right.seeds, right.photographs) == (2, 12)
    assert (right.least_bytes, right.most_bytes) == (400, 802)
    assert right.value == pytest.approx(0.5, abs=0.01)
    assert right.low > 0
    assert right.is_sure
    agrees = difference(found["jpeg"], found["jpeg"], "agrees")
    assert agrees is not None
    assert (agrees.value, agrees.is_sure) == (0, False)


def test_methods_without_common_bytes_are_not_compared(out: Path) -> None:
    rows = gather(out)["task_answers"]
    far = rows["method"] == "jpeg"
    rows.loc[far, "bytes"] *= 100
    found = curves(rows)
    assert difference(found["student"], found["jpeg"], "right") is None


def test_a_single_setting_is_compared_at_its_bytes(out: Path) -> None:
    rows = gather(out)["task_answers"]
    single = (rows["method"] == "jpeg") & (rows["setting"] == "rate=20")
    found = curves(rows[single | (rows["method"] == "student")])
    right = difference(found["student"], found["jpeg"], "right")
    assert right is not None
    assert right.least_bytes == right.most_bytes == rows[single]["bytes"].mean()
    share = (rows[single]["answer"] == rows[single]["label"]).mean()
    assert right.value == pytest.approx(1 - share)


def test_labels() -> None:
    assert label_of("jpeg", "rate=5") == "jpeg"
    assert label_of("features_jpeg", "stage=1,rate=5") == "features_jpeg stage=1"


def test_the_page_says_what_holds(out: Path, tmp_path: Path) -> None:
    text = write_page(out, tmp_path / "sc2.md").read_text()
    assert "- Within 200 B: no method sends so little." in text  # 201, over seeds
    assert "- By right answers alone: " in text
    claim = "| the student beats JPEG of the photograph |"
    (line,) = [line for line in text.splitlines() if line.startswith(claim)]
    assert line.endswith("B | 2 | holds |")
    assert "83.3 %" in text
    assert (tmp_path / "sc2.png").stat().st_size > 10_000


def test_the_report_has_a_section_of_tasks(out: Path) -> None:
    gather(out)
    data = ReportData.read(out)
    text = report_page(data)
    assert "<h2>Tasks</h2>" in text
    assert "<li>Within 1 kB: student beta=1 (401 B, 2 seeds), 100.0 % right" in text
    assert data.summary() == "2 methods of a task at 6 settings"
    found = tasks_payload(data)
    assert found is not None
    methods, points = found["methods"], found["points"]
    assert len(methods["label"]) == 6 + 2
    assert len(points["row"]) == 3 * 1 + 3 * 2 + 2
    student = [methods["label"][row] == "student" for row in points["row"]]
    assert [seed for seed, own in zip(points["seed"], student, strict=True) if own] == (
        [0, 0, 0, 1, 1, 1]
    )
    local = methods["label"].index(LOCAL)
    assert (methods["bytes_per_datum"][local], methods["exr"][local]) == (None, None)
    assert methods["encoder_bits"][local] == 3.2  # kbit
    assert all(methods["compares"])
    assert methods["metric"][local] == pytest.approx(100 * 10 / 12, abs=1e-3)


def test_without_methods_there_is_no_page(tmp_path: Path) -> None:
    write_plan(tmp_path, Plan("tasks", ()))
    with pytest.raises(DataError, match="methods of a task were measured"):
        write_page(tmp_path, tmp_path / "sc2.md")
