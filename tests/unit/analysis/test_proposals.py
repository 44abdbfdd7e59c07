"""Proposals fill the gaps of a frontier, and say what they expect of that."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.backtest import CHEAPEST, ORDERS, PROPOSED, RANDOM, backtest, left_out
from analysis.known import Known
from analysis.proposals import Outlook, line, propose
from analysis.surrogate import Chance, Surrogate, architecture_features
from rdc.errors import DataError

LMBDAS = (0.01, 0.05)


def loss(row: pd.Series, lmbda: float = 0.01) -> float:
    """Falls with cost; `swint` is far behind, `elic` a little."""
    behind = {"conv": 1.0, "elic": 1.05, "swint": 1.6}[row["transform"]]
    return (1 + 40 * lmbda) * behind * row["kflops_per_px"] ** -0.12


def study(trained: set[int] | None = None, costs: int = 8) -> Known:
    """Three families at the same costs, numbered from the cheapest on."""
    rows = [
        {
            "arch_id": f"{transform}{number}",
            "name": None,
            "family": transform,
            "transform": transform,
            "entropy_model": "mean_scale_hyperprior",
            "hyper_transform": "conv",
            "kflops_per_px": cost,
            "params_total": 1e5 * cost,
        }
        for transform in ("conv", "elic", "swint")
        for number, cost in enumerate(np.geomspace(3, 300, costs))
    ]
    table = pd.DataFrame(rows)
    numbers = table["arch_id"].str.extract(r"(\d+)", expand=False).astype(int)
    measured = table[numbers.isin(range(costs) if trained is None else trained)]
    random = np.random.default_rng(0)
    points = [
        {
            "arch_id": row["arch_id"],
            "lmbda": lmbda,
            "rd_loss": loss(row, lmbda) * np.exp(random.normal(0, 0.005)),
        }
        for _, row in measured.iterrows()
        for lmbda in LMBDAS
    ]
    untrained = table["arch_id"][~table["arch_id"].isin(measured["arch_id"])]
    return Known(table, pd.DataFrame(points), tuple(untrained))


def test_the_gap_in_a_frontier_is_proposed_from_the_best_family() -> None:
    known = study(trained={0, 1, 6, 7})  # 2 to 5 are the gap
    proposal = propose(known, 3)
    assert proposal["arch_id"].iloc[0] in ("conv3", "conv4")
    assert not proposal["arch_id"].str.startswith("swint").any()
    gains = proposal["gain_percent"]
    assert gains.iloc[0] > 2
    assert gains.is_monotonic_decreasing
    assert (proposal["gain_low_percent"] <= gains).all()
    assert (gains <= proposal["gain_high_percent"]).all()
    for row in proposal.to_dict("records"):
        own = known.architectures.set_index("arch_id", drop=False).loc[row["arch_id"]]
        for lmbda in LMBDAS:
            low, high = (row[f"rd_loss_{e}.{lmbda:g}"] for e in ("low", "high"))
            assert row[f"rd_loss.{lmbda:g}"] == pytest.approx(
                loss(own, lmbda), rel=0.03
            )
            assert low < row[f"rd_loss.{lmbda:g}"] < high


def test_the_next_is_chosen_beside_those_before_it() -> None:
    known = study(trained={0, 1, 6, 7})
    known = dataclasses.replace(known, untrained=("conv2", "conv3", "elic2"))
    alone = {}
    for name in known.untrained:
        one = propose(dataclasses.replace(known, untrained=(name,)), 1)
        alone[name] = one["gain_percent"].iloc[0]
    together = propose(known, 5).set_index("arch_id")["gain_percent"]
    assert set(together.index) == set(known.untrained)  # there are no more
    assert together["elic2"] < alone["elic2"] / 3  # conv2 is there, at its cost


def test_the_same_knowledge_gives_the_same_proposal() -> None:
    known = study(trained={0, 1, 6, 7})
    pd.testing.assert_frame_equal(propose(known, 2), propose(known, 2))


def test_a_certain_outcome_gains_the_area_under_the_line() -> None:
    places = np.array([0.0, 1.0, 2.0, 3.0])
    outlook = Outlook(
        arch_ids=("a", "b"),
        places=places,
        first=np.array([2, 1]),
        lines={0.01: np.array([0.5, 0.4, 0.4, 0.1])},
        losses={0.01: np.tile([0.15, 0.3], (256, 1))},
    )
    first, second = outlook.choose(2)
    assert (first.arch_id, second.arch_id) == ("a", "b")
    assert first.gains == pytest.approx((0.4 - 0.15) / 4)
    assert second.gains == pytest.approx((0.4 - 0.3) / 4)  # at 1 alone: a is below at 2


def test_the_line_is_the_lowest_loss_up_to_each_cost() -> None:
    places = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    drawn = line(np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.4, 0.5]), places)
    assert drawn.tolist() == pytest.approx([0.5, 0.4, 0.4, 0.2, 0.2])
    failed = line(np.array([1.0, 2.0]), np.array([9.0, 0.2]), places)
    assert failed[0] == failed[1] == pytest.approx(0.2 + np.log(3))


def test_what_cannot_be_proposed_is_said() -> None:
    with pytest.raises(DataError, match="from 4 trained architectures; got 3"):
        propose(study(trained={0}), 1)
    with pytest.raises(
        DataError, match="untrained architectures; got a grid with none"
    ):
        propose(study(), 1)


def test_a_failed_training_hardly_moves_what_is_expected_of_others() -> None:
    known = study(trained={0, 2, 4, 6})
    features = architecture_features(known.architectures)
    rows = known.points[known.points["lmbda"] == 0.01]
    own = known.architectures["arch_id"].isin(rows["arch_id"]).to_numpy()
    losses = rows["rd_loss"].to_numpy()
    failed = losses.copy()
    failed[-1] *= 30  # a swint
    conv = (known.architectures["transform"] == "conv").to_numpy()
    one, other = (
        np.exp(features[conv] @ Surrogate.fit(features[own], values).mean)
        for values in (losses, failed)
    )
    assert other == pytest.approx(one, rel=0.05)


def test_draws_scatter_as_the_losses_do() -> None:
    random = np.random.default_rng(1)
    features = np.column_stack([np.full(60, 10.0), random.normal(size=60)])
    truth = np.exp(features @ [0.02, 0.3] + random.normal(0, 0.1, 60))
    surrogate = Surrogate.fit(features[:40], truth[:40])
    assert surrogate.mean @ [10, 0] == pytest.approx(0.2, abs=0.06)
    assert surrogate.mean[1] == pytest.approx(0.3, abs=0.06)
    drawn = surrogate.draw(features[40:], Chance.of(500, 2, 20, 40, seed=0))
    low, high = np.percentile(drawn, [10, 90], axis=0)
    inside = (low <= truth[40:]) & (truth[40:] <= high)
    assert 11 <= inside.sum() <= 20  # 16 of 20 with a standard deviation of 1.8


def test_half_of_a_smooth_study_is_found_better_by_proposals_than_by_chance() -> None:
    known = study(costs=6)
    shares = backtest(known, seeds=6)
    assert set(shares["order"]) == set(ORDERS)
    mean = shares.groupby("order")["hypervolume"].mean()
    assert mean[PROPOSED] > mean[RANDOM] + 0.02
    assert shares["hypervolume"].between(0, 1).all()
    cost = shares.groupby("order")["cost"].mean()
    assert cost[CHEAPEST] == cost.min()


def test_a_backtest_needs_enough_to_hide() -> None:
    with pytest.raises(DataError, match="needs 16 measured architectures; got 12"):
        backtest(study(costs=4), seeds=1)


def test_losses_are_predicted_from_all_others() -> None:
    errors = left_out(study(costs=5))
    assert len(errors) == 15 * len(LMBDAS)
    assert errors["error"].abs().median() < 0.02
    assert errors["is_inside"].mean() > 0.5
