"""Power laws are found where the points determine them, and refused where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.learning_fit import PowerLaw, compute_fits, learning_fits
from rdc.errors import DataError

STEPS = np.arange(60, 6001, 60)


def law(x: np.ndarray, limit=1.0, scale=8.0, exponent=0.6) -> np.ndarray:
    return limit + scale * x**-exponent


def test_an_exact_law_is_found() -> None:
    found = PowerLaw(STEPS, law(STEPS))
    assert found.reason == ""
    assert found.exponent.value == pytest.approx(0.6, rel=0.03)
    assert found.limit.value == pytest.approx(1.0, abs=0.01)
    assert found.at(60_000).value == pytest.approx(law(np.array(6e4)), abs=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = {"limit": 0, "exponent": 0, "later": 0}
    for _ in range(100):
        found = PowerLaw(STEPS, law(STEPS) + random.normal(0, 0.01, len(STEPS)))
        truth = {"limit": 1.0, "exponent": 0.6, "later": law(np.array(6e4))}
        given = {
            "limit": found.limit,
            "exponent": found.exponent,
            "later": found.at(6e4),
        }
        for name, interval in given.items():
            assert interval.low <= interval.value <= interval.high
            held[name] += interval.low <= truth[name] <= interval.high
    # 95 of 100 with a standard deviation of 2.2.
    assert all(88 <= count <= 100 for count in held.values()), held


def test_neighbours_that_err_alike_tell_less() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, len(STEPS) // 5)
    loss = law(STEPS) + noise.repeat(5)
    alike, apart = PowerLaw(STEPS, loss, in_order=True), PowerLaw(STEPS, loss)
    assert alike.limit.value == apart.limit.value
    wide, narrow = (f.limit.high - f.limit.low for f in (alike, apart))
    assert wide > 1.5 * narrow


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (1 + 1e-4 * STEPS, "does not fall"),
        (2 - np.log(STEPS) / 10, "exponents from 0.02 to .* fit alike"),
        (np.random.default_rng(0).normal(1, 0.1, 100), "fit alike|does not fall"),
    ],
    ids=["rising", "no end in sight", "noise"],
)
def test_what_the_points_do_not_determine_is_said(loss, reason) -> None:
    row = learning_fits(pd.DataFrame({"run_id": "a", "step": STEPS, "loss": loss}))
    assert row["reason"].str.contains(reason).all()
    assert row[["limit", "exponent", "longer_loss"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("x", "loss", "message"),
    [
        ([1, 2, 3, 4], [4, 3, 2, 1], "5 points at 4 places; got 4 at 4"),
        ([1, 1, 2, 2, 3], [5, 5, 4, 4, 3], "got 5 at 3"),
        ([0, 1, 2, 3, 4], [5, 4, 3, 2, 1], "positive places"),
        ([1, 2, 3, 4, 5], [5, 4, np.nan, 2, 1], "finite losses"),
        ([1, 2, 3, 4, 5], [5, 4, 3], "one loss per place"),
    ],
)
def test_what_no_law_is_fitted_to_is_refused(x, loss, message) -> None:
    with pytest.raises(DataError, match=message):
        PowerLaw(x, loss)


def test_a_row_for_each_training_and_what_twice_the_steps_would_bring() -> None:
    first = np.where(STEPS < 300, 50.0, law(STEPS))  # before the law sets in
    curves = [
        pd.DataFrame({"run_id": "a", "step": STEPS, "loss": first}),
        pd.DataFrame({"run_id": "b", "step": STEPS[:4], "loss": 1.0}),
    ]
    rows = learning_fits(pd.concat(curves)).set_index("run_id")
    assert rows.loc["a", "longer_loss"] == pytest.approx(law(np.array(12e3)), abs=0.01)
    assert rows.loc["a", "reason"] == ""
    assert "needs 5 points" in rows.loc["b", "reason"]


def test_families_have_laws_over_cost_at_each_lambda() -> None:
    costs = np.geomspace(3, 300, 6)
    points = pd.concat(
        [
            pd.DataFrame(
                {
                    "family": family,
                    "lmbda": lmbda,
                    "kflops_per_px": costs[:count],
                    "rd_loss": law(costs[:count], limit, 1.0, 0.8),
                }
            )
            for lmbda in (0.01, 0.05)
            for family, limit, count in (("conv", 1.1, 6), ("elic", 0.9, 3))
        ]
    )
    fits = compute_fits(points).set_index(["family", "lmbda"])
    assert fits.loc[("conv", 0.05), "limit"] == pytest.approx(1.1, abs=0.01)
    assert fits.loc[("conv", 0.05), "models"] == 6
    assert fits.loc["elic", "limit"].isna().all()
    assert fits.loc["elic", "reason"].str.contains("got 3 at 3").all()
