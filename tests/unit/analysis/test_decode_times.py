from __future__ import annotations

import pandas as pd

from analysis.decode_times import DecodeTimes, with_times

ROW = {
    "arch_id": "a",
    "run_id": "r",
    "hardware_id": "cpu",
    "coder": "range",
    "numerics": "native",
    "rate": 0,
    "dataset": "val",
    "height_px": 500,
    "width_px": 1000,
    "precision": "highest",
    "cpu_threads": 2,
    "visible_devices": 1,
    "batch_size": 1,
    "load_average": 0.1,
    "stage": "network",
    "repeat": 0,
    "decode_ms": 10.0,
}
POINT = {
    "run_id": "r", "rate": 0, "arch_id": "a", "coder": "range", "numerics": "native"
}  # fmt: skip


def times(*changes: dict) -> DecodeTimes:
    return DecodeTimes.of(pd.DataFrame([{**ROW, **change} for change in changes]))


def shown(found: DecodeTimes, **point: object) -> float:
    table = pd.DataFrame([{**POINT, **point}])
    return with_times(table, found)["decode_ms"][0]


def test_nothing_that_differs_shares_a_median() -> None:
    """Whatever field of a time is another one, its median is another, too."""
    for name, other in {
        "arch_id": "b",
        "run_id": None,
        "hardware_id": "gpu",
        "coder": "tfc",
        "numerics": "exact",
        "rate": 1,
        "dataset": None,
        "height_px": 250,
        "width_px": 500,
        "precision": "bfloat16",
        "cpu_threads": 1,
        "visible_devices": 2,
        "stage": "end_to_end",
    }.items():
        found = times({}, {}, {name: other, "decode_ms": 1000.0})
        medians = sorted(found.shown["decode_ms"])
        assert medians in ([10.0], [10.0, 1000.0]), name
        assert found.left_out == 2 - len(medians)
        assert shown(found) == 10, name


def test_load_and_repeat_are_of_one_median() -> None:
    found = times({}, {"repeat": 1, "load_average": 3.0, "decode_ms": 20.0})
    assert found.shown["decode_ms"].tolist() == [15]
    assert found.shown["mpx_per_s"].tolist() == [0.5 / 0.015]
    assert found.left_out == 0


def test_commonest_conditions_of_each_device_are_shown() -> None:
    found = times(
        *({"rate": rate} for rate in range(3)),
        *({"rate": rate, "cpu_threads": 8} for rate in range(2)),
        *({"rate": rate, "hardware_id": "gpu", "cpu_threads": 8} for rate in range(2)),
    )
    threads = found.conditions.set_index("hardware_id")["cpu_threads"]
    assert threads.to_dict() == {"cpu": 2, "gpu": 8}
    assert found.left_out == 2


def test_random_weights_serve_where_the_model_itself_was_not_timed() -> None:
    found = times({}, {"run_id": None, "decode_ms": 30.0})
    assert shown(found) == 10
    assert shown(found, run_id="other") == 30
    assert pd.isna(shown(found, run_id="other", numerics="exact"))
    assert pd.isna(shown(found, run_id="other", arch_id="b"))


def test_no_times_at_all() -> None:
    nothing = pd.DataFrame([ROW]).iloc[:0]
    assert pd.isna(shown(DecodeTimes.of(nothing)))
