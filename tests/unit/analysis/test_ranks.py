from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from analysis.ranks import flops_against_time, rank_correlations
from rdc.errors import DataError


def test_agrees_with_scipy_and_holds_the_value_in_its_interval() -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 8, 40).astype(float)  # with ties
    y = x + random.normal(0, 2, 40)
    kendall, spearman = rank_correlations(x, y)
    assert kendall.value == pytest.approx(kendalltau(x, y).statistic)
    assert spearman.value == pytest.approx(spearmanr(x, y).statistic)
    for found in (kendall, spearman):
        assert -1 <= found.low < found.value < found.high <= 1


def test_more_points_narrow_the_interval() -> None:
    def width(count: int) -> float:
        random = np.random.default_rng(2)
        x = random.random(count)
        kendall, _ = rank_correlations(x, x + random.normal(0, 0.3, count))
        return kendall.high - kendall.low

    assert width(300) < width(20) / 2


def test_equal_orders_are_certain() -> None:
    for found in rank_correlations([1, 2, 3, 4], [10, 20, 30, 40]):
        assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2], "at least 3 pairs"),
        ([1, 2, 3], [1, 2], "at least 3 pairs"),
        ([1, 2, np.nan], [1, 2, 3], "finite"),
        ([1, 1, 1], [1, 2, 3], "differ"),
    ],
)
def test_refuses_what_has_no_ranks(x: list, y: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rank_correlations(x, y)


FRONTIER = pd.DataFrame(
    {
        "arch_id": ["a", "a", "b", "c", "d"],
        "coder": "range",
        "numerics": "native",
        "differs_in": "",
        "kflops_per_px": [1.0, 1.0, 2.0, 3.0, 4.0],
        "decode_ms.cpu.end_to_end": [9.0, 9.0, 8.0, 7.0, 6.0],
        "decode_ms.cpu.network": [1.0, 3.0, 4.0, 5.0, 6.0],
        "decode_ms.gpu.network": [1.0, 1.0, 2.0, np.nan, np.nan],
    }
)


def test_one_row_per_hardware_and_stage_and_one_point_per_architecture() -> None:
    table = flops_against_time(FRONTIER)
    assert table["stage"].tolist() == ["network", "end_to_end"]
    assert table["architectures"].tolist() == [4, 4]
    assert table["kendall_tau_b"].tolist() == [1.0, -1.0]


def test_points_that_do_not_compare_have_no_rank() -> None:
    slower = FRONTIER.tail(1).assign(
        arch_id="e", kflops_per_px=0.5, differs_in="git_sha"
    )
    table = flops_against_time(pd.concat([FRONTIER, slower]))
    assert table["architectures"].tolist() == [4, 4]
    assert table["kendall_tau_b"].tolist() == [1.0, -1.0]


def test_times_of_two_coders_share_no_rank() -> None:
    """With `tfc`, entropy coding turns the order round."""
    times = ["decode_ms.cpu.network", "decode_ms.cpu.end_to_end"]
    other = FRONTIER.assign(coder="tfc", **{times[0]: FRONTIER[times[1]] * 9})
    table = flops_against_time(pd.concat([FRONTIER, other], ignore_index=True))
    network = table[table["stage"] == "network"].set_index("coder")
    assert network["architectures"].tolist() == [4, 4]
    assert network["kendall_tau_b"].to_dict() == {"range": 1.0, "tfc": -1.0}
