from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.report.data import ReportData
from analysis.report.figures import FIGURES
from analysis.report.style import family_styles
from analysis.report.winners_figure import winners_figure
from analysis.winners import comparable_points, least, winner_map


def points(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Of `curve_id mse_255 bpp kflops_per_px`."""
    columns = ["curve_id", "mse_255", "bpp", "kflops_per_px"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(family=table["curve_id"], name=None, lmbda=0.01, differs_in="")


# A cheap model of two rates, and a dear one that has less error.
CHEAP_LOW, CHEAP_HIGH = ("a", 100, 0.2, 10), ("a", 80, 0.3, 10)
DEAR = ("b", 60, 0.25, 50)
THREE = points(CHEAP_LOW, CHEAP_HIGH, DEAR)


def test_winners_by_hand() -> None:
    """J is 100 + 0.2 l + 10 g, 80 + 0.3 l + 10 g and 60 + 0.25 l + 50 g.

    The first two are level at l = 200. At l = 100 the second is level with the third
    where 25 = 40 g; at l = 400 the first is where 20 = 40 g.
    """
    best = least(THREE, np.array([100, 400]), np.array([0.4, 0.52, 0.6, 0.63]))
    assert best.tolist() == [[2, 2], [2, 0], [2, 0], [1, 0]]


def test_the_map_holds_every_change_of_the_winner() -> None:
    found = winner_map(THREE, cells=64)
    assert found.models["curve_id"].tolist() == ["a", "b"]  # cheapest first
    assert found.winner.shape == (64, 64)
    assert (found.winner[0] == 1).all()  # operations cost next to nothing
    assert (found.winner[-1] == 0).all()
    assert found.lmbdas[0] < 100 < found.lmbdas[-1]  # 1 / 0.01 MSE per bpp
    np.testing.assert_allclose(np.diff(np.log(found.gammas), 2), 0, atol=1e-9)
    changes = found.gammas[np.argmax(found.winner == 0, axis=0)]
    step = found.gammas[1] / found.gammas[0]
    exact = (
        1
        / 40
        * np.minimum(
            100 + 0.2 * found.lmbdas - (60 + 0.25 * found.lmbdas),
            80 + 0.3 * found.lmbdas - (60 + 0.25 * found.lmbdas),
        )
    )
    assert (changes >= exact).all()
    assert (changes <= exact * step).all()


def test_a_dominated_model_wins_nowhere() -> None:
    worse = points(CHEAP_LOW, CHEAP_HIGH, DEAR, ("c", 101, 0.3, 50))
    assert "c" not in set(winner_map(worse, cells=16).models["curve_id"])


def test_other_conditions_are_left_out() -> None:
    rows = THREE.assign(differs_in=["", "lmbda", "steps"])
    assert comparable_points(rows)["curve_id"].tolist() == ["a", "a"]
    rows = THREE.assign(kflops_per_px=[10, 10, None])
    assert comparable_points(rows)["curve_id"].tolist() == ["a", "a"]


def test_regions_are_labelled_and_families_are_in_the_legend() -> None:
    rows = THREE.assign(name=["rdc_a", "rdc_a", None])
    figure = winners_figure(family_styles(["a", "b", "unused"]), rows)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["rdc_a", "b"]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["a", "b"]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert "MSE on 0-255 per bpp" in axes.get_xlabel()
    assert "2 of 2 comparable models" in axes.get_title()


def test_a_label_too_wide_for_its_region_is_in_the_legend() -> None:
    wide = "a name that is far wider than any panel of a printed page, " * 3
    rows = THREE.assign(name=[wide, wide, None])
    figure = winners_figure(family_styles(["a", "b"]), rows)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["b"]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["a", "b", wide]


@pytest.mark.parametrize("rows", [THREE.iloc[:0], THREE.iloc[:2]])
def test_one_model_is_no_map(rows: pd.DataFrame) -> None:
    (axes,) = winners_figure(family_styles(["a"]), rows).axes
    assert "needs two comparable models" in axes.texts[0].get_text()


def test_the_report_draws_it(mixed_sweep: Path) -> None:
    (axes,) = FIGURES["winners"](ReportData.read(mixed_sweep)).axes
    assert "of 12 comparable models win somewhere" in axes.get_title()
