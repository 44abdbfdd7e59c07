"""Tables and pages of tasks, from answers that are made up and counted by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.gather import gather
from analysis.tables import LOCAL, REMOTE
from analysis.task_curves import curves, difference, label_of
from analysis.task_results import task_results
from analysis.tasks_page import write_page
from rdc.errors import DataError
from rdc.jobs.job import Job, SplitJob, TeacherJob
from rdc.jobs.layout import OUT_SCHEMA_VERSION, SWEEP_FILE
from rdc.jobs.records import Record, SplitResult, TeacherResult
from rdc.measurements.rows import TaskAnswer
from rdc.specs.tasks import TeacherSpec
from rdc.split.specs import MethodSpec, parse_method
from rdc.system.files import write_json_atomically
from sweeps.plan import Plan
from sweeps.plan_file import write_plan

FOLDS, PHOTOGRAPHS = 2, 6  # of each fold
SETTINGS: dict[str, list[dict]] = {
    "jpeg": [{"name": "input", "codec": "jpeg", "rate": r} for r in (5, 20, 60)],
    "student": [{"name": "student", "beta": b} for b in (4.0, 1.0, 0.25)],
}


def answers(method: str, step: int, fold: int, seed: int) -> tuple[TaskAnswer, ...]:
    """JPEG doubles from 400 bytes and gets two, four, six photographs of a fold right;
    the student doubles from 200 and gets all but one, and all behind its first setting.
    """
    size = {"jpeg": 400, "student": 200}[method] * 2**step + 2 * seed
    right = 2 * (step + 1) if method == "jpeg" else PHOTOGRAPHS - (step == 0)
    return tuple(
        TaskAnswer(
            photograph=f"{fold}{i}.jpg",
            height_px=10,
            width_px=20,
            bytes=size,
            bits_estimated=None if method == "jpeg" else 7.92 * size,
            label=1,
            answer=int(i < right),
            teacher_answer=1,
            kl_nats=0.5 - 0.1 * step,
        )
        for i in range(PHOTOGRAPHS)
    )


def write(out: Path, job: Job, result: TeacherResult | SplitResult) -> None:
    folder = job.folder(out)
    record = Record(
        stage=job.stage,
        job_id=job.job_id,
        status="ok",
        attempt=1,
        result=result.to_dict(),
    )
    write_json_atomically(folder / "spec.json", job.to_dict())
    write_json_atomically(folder / "record.json", record.to_dict())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("out")
    write_plan(place, Plan("tasks", ()))
    sweep = {"schema_version": OUT_SCHEMA_VERSION, "grid": "tasks"}
    write_json_atomically(place / SWEEP_FILE, sweep)
    for fold in range(FOLDS):
        teacher = TeacherJob(
            teacher=TeacherSpec(),
            dataset="flowers",
            data_sha256="0" * 64,
            fold=fold,
            fold_count=FOLDS,
        )
        whole = TeacherResult(
            model_dir="model",
            model_id=f"{fold}" * 16,
            dataset="flowers",
            fold=fold,
            encoder_bits=3200,
            encoder_kmacs_per_px=20.0,
            answers=answers("student", 0, fold, 0),
        )
        write(place, teacher, whole)
        for name, settings in SETTINGS.items():
            for step, values in enumerate(settings):
                for seed in range(2 if name == "student" else 1):
                    method = parse_method(values)
                    measured = result(name, method, step, fold, seed)
                    write(place, split_job(teacher, method, fold, seed), measured)
    return place


def split_job(
    teacher: TeacherJob, method: MethodSpec, fold: int, seed: int
) -> SplitJob:
    return SplitJob(
        method=method,
        teacher=teacher.job_id,
        dataset="flowers",
        data_sha256="0" * 64,
        fold=fold,
        fold_count=FOLDS,
        seed=seed,
    )


def result(
    name: str, method: MethodSpec, step: int, fold: int, seed: int
) -> SplitResult:
    return SplitResult(
        method=name,
        setting=method.setting,
        method_id="1" * 16,
        run_id=None,
        dataset="flowers",
        task="classification",
        fold=fold,
        seed=seed,
        encoder_bits=None if name == "jpeg" else 1000,
        encoder_kmacs_per_px=None if name == "jpeg" else 2.0,
        tail_kmacs_per_px=9.0,
        answers=answers(name, step, fold, seed),
        model_id=f"{fold}" * 16,
    )


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
    """From 402 to 800 bytes, which both have: the student answers all photographs, JPEG
    from a third to two thirds of them.
    """
    found = curves(gather(out)["task_answers"])
    assert set(found) == {"jpeg", "student"}
    right = difference(found["student"], found["jpeg"], "right")
    assert right is not None
    assert (right.seeds, right.photographs) == (2, 12)
    assert (right.least_bytes, right.most_bytes) == (400, 800)
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
    one = curves(rows[~far | (rows["setting"] == "rate=5")])
    assert set(one) == {"student"}


def test_labels() -> None:
    assert label_of("jpeg", "rate=5") == "jpeg"
    assert label_of("features_jpeg", "stage=1,rate=5") == "features_jpeg stage=1"


def test_the_page_says_what_holds(out: Path, tmp_path: Path) -> None:
    text = write_page(out, tmp_path / "sc2.md").read_text()
    claim = "| the student beats JPEG of the photograph |"
    (line,) = [line for line in text.splitlines() if line.startswith(claim)]
    assert line.endswith("B | 2 | holds |")
    assert "83.3 %" in text
    assert (tmp_path / "sc2.png").stat().st_size > 10_000


def test_without_methods_there_is_no_page(tmp_path: Path) -> None:
    write_plan(tmp_path, Plan("tasks", ()))
    with pytest.raises(DataError, match="methods of a task were measured"):
        write_page(tmp_path, tmp_path / "sc2.md")
