"""Who should answer, from answers that are made up and counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.report.tasks_figure import tasks_figure
from analysis.tables import LOCAL, REMOTE
from analysis.task_methods import (
    TASK_MEASURES,
    estimate,
    measure_title,
    methods_table,
    task_methods,
)
from analysis.task_results import task_results
from analysis.task_verdicts import DEVICE, KINDS, summary, task_verdicts, told_of
from rdc.split.specs import METHODS

PHOTOGRAPHS = 100


def answers(
    method: str,
    setting: str,
    size: float | None,
    right: int,
    encoder: float | None = None,
    seed: int = 0,
    photographs: int = PHOTOGRAPHS,
) -> pd.DataFrame:
    """The first `right` photographs are answered right; by the teacher, 80 of them."""
    number = np.arange(photographs)
    return pd.DataFrame(
        {
            "dataset": "flowers",
            "task": "classification",
            "method": method,
            "setting": setting,
            "run_id": None,
            "seed": seed,
            "encoder_bits": None if encoder is None else 1e6 * encoder,
            "encoder_kmacs_per_px": encoder,
            "tail_kmacs_per_px": 9.0,
            "photograph": [f"{n:03d}.jpg" for n in number],
            "bytes": size,
            "label": 1,
            "answer": (number < right).astype(int),
            "teacher_answer": (number < 80).astype(int),
            "kl_nats": 0.5,
            "agreement": None,
            "set_metric": None,
        }
    )


def table(*parts: pd.DataFrame) -> pd.DataFrame:
    remote = answers(REMOTE, "", 30_000.0, 80)
    local = answers(LOCAL, "", None, 80, encoder=20.0)
    return pd.concat([remote, local, *parts], ignore_index=True)


STUDENT = (
    answers("student", "beta=4", 150.0, 60, encoder=2.0),
    answers("student", "beta=1", 450.0, 70, encoder=2.0),
)
JPEG = (answers("jpeg", "rate=1", 490.0, 30), answers("jpeg", "rate=9", 3000.0, 79))


def test_most_right_answers_within_each_budget_win() -> None:
    few, some, many = task_verdicts(
        task_methods(table(*STUDENT, *JPEG)), [100, 500, 4000]
    )
    assert (few.best, few.who) == (None, DEVICE)
    assert few.text == "Within 100 B: no method sends so little."
    assert some.best is not None
    assert (some.best.setting, some.who, some.alike) == ("beta=1", "a student", ())
    # Ten photographs of a hundred: sqrt(.1 * .9 / 100) is 3 points.
    assert some.text == (
        "Within 500 B: student beta=1 (450 B), 70.0 % right, 10.0 (+- 3.0) points "
        "fewer than the teacher. Its encoder costs 2.00 kMAC/px and 2,000 kbit, 10 % "
        "of the whole network's kMAC/px."
    )
    assert many.best is not None
    assert (many.best.setting, many.who) == ("rate=9", "a codec")
    assert "Its encoder's cost was not counted." in many.text
    assert summary([few, some, many], "right answers") == (
        "By right answers alone: the device itself within 100 B; a student within "
        "500 B; a codec within 4 kB."
    )


def test_methods_that_are_not_told_apart_are_named() -> None:
    webp = answers("webp", "rate=2", 480.0, 69)
    (verdict,) = task_verdicts(task_methods(table(*STUDENT, *JPEG, webp)), [500])
    assert [method.method for method in verdict.alike] == ["webp"]
    assert verdict.text.endswith("Not told apart from it: webp rate=2.")
    assert verdict.who == "a student or a codec"


def test_of_equal_answers_the_smaller_stream_wins() -> None:
    webp = answers("webp", "rate=2", 300.0, 70)
    (verdict,) = task_verdicts(task_methods(table(*STUDENT, webp)), [500])
    assert verdict.best is not None
    assert verdict.best.method == "webp"


def test_the_device_answers_itself_where_that_costs_it_less() -> None:
    dear = answers("light", "rate=1", 180.0, 90, encoder=25.0)
    (verdict,) = task_verdicts(task_methods(table(dear)), [200])
    assert verdict.who == DEVICE
    assert "10.0 (+- 3.0) points more than the teacher" in verdict.text
    assert "the whole network on the device costs 20.00 kMAC/px" in verdict.text


def test_methods_whose_folds_are_missing_do_not_compare() -> None:
    half = answers("webp", "rate=2", 300.0, 50, photographs=50)
    methods = task_methods(table(*STUDENT, half))
    (verdict,) = task_verdicts(methods, [500])
    assert verdict.best is not None
    assert verdict.best.method == "student"
    assert told_of(methods)[-1] == (
        "Left out, not all photographs are answered yet: webp rate=2."
    )


def test_seeds_are_one_row_of_photographs_that_all_answered() -> None:
    first = answers("student", "beta=1", 400.0, 60, encoder=2.0)
    second = answers("student", "beta=1", 500.0, 40, encoder=2.0, seed=1)
    methods = task_methods(table(first, second[second["photograph"] < "080.jpg"]))
    rows = methods_table(methods).set_index("method")
    student = rows.loc["student"]
    assert (student["seeds"], student["image_count"]) == (2, 80)
    assert (student["bytes_per_datum"], student["metric"]) == (450, 0.625)
    assert student["exr"] == 2e6 * 450
    # 40 photographs by both, 20 by one of two, 20 by none; 60 and 40 of 80 by seed.
    of_photographs = np.var([1] * 40 + [0.5] * 20 + [0] * 20) / 80
    of_seeds = np.var([60 / 80, 40 / 80], ddof=1) / 2
    assert student["metric_se"] == pytest.approx((of_photographs + of_seeds) ** 0.5)
    assert student["lost"] == pytest.approx(1 - 0.625)
    assert rows.loc[LOCAL, ["bytes_per_datum", "exr"]].isna().all()
    assert pd.isna(rows.loc[REMOTE, "encoder_bits"])


def test_an_estimate_of_a_difference_is_paired() -> None:
    one = pd.DataFrame([[1.0, 0.0, 1.0, 0.0]], columns=list("abcd"))
    found = estimate(one, one[list("abc")])
    assert (found.value, found.se) == (0, 0)


def test_every_method_but_the_codecs_of_photographs_has_its_kind() -> None:
    assert set(KINDS) == set(METHODS) - {"input"}


def test_without_answers_there_is_no_method() -> None:
    assert task_methods(table().iloc[:0]) == []


def test_a_metric_of_the_whole_set_ranks_without_error() -> None:
    """Mean IoU of 80 % by the teacher, of 60 % by a student, of 70 % by JPEG."""
    parts = [
        rows.assign(set_metric=value)
        for rows, value in (
            (answers(REMOTE, "", 30_000.0, 0), 0.8),
            (answers("student", "beta=4", 150.0, 0, encoder=2.0), 0.6),
            (answers("jpeg", "rate=1", 490.0, 0), 0.7),
        )
    ]
    nothing = dict.fromkeys(("label", "answer", "teacher_answer"))
    rows = pd.concat(parts).assign(task="segmentation", agreement=0.9, **nothing)
    methods = task_methods(rows)
    told = told_of(methods)
    assert told[0] == (
        "Within 200 B: student beta=4 (150 B), mean IoU 60.0 %, the teacher's 80.0 %. "
        "Its encoder costs 2.00 kMAC/px and 2,000 kbit."
    )
    assert told[1].startswith("Within 500 B: jpeg rate=1 (490 B), mean IoU 70.0 %")
    assert told[-2].startswith("By mean IoU alone: a student within 200 B; a codec")
    assert "ranked without error" in told[-1]
    table = methods_table(methods).set_index("method")
    assert table["metric"].tolist() == pytest.approx([0.7, 0.8, 0.6])
    assert table["metric_se"].isna().all()
    assert table["teacher_agreement"].tolist() == pytest.approx([0.9] * 3)
    whole = rows.assign(
        reference_model="t", bits_estimated=None, height_px=10, width_px=20
    )
    whole["encoder_bits"] = whole["encoder_bits"].astype(float)
    results = task_results(whole)
    assert results["se"].isna().all()
    assert results["distortion"].tolist() == pytest.approx([0.3, 0.2, 0.4])
    assert measure_title(TASK_MEASURES[0], rows["task"]) == "mean IoU (%)"
    assert tasks_figure(results).axes[0].get_title() == "mean IoU (%)"
