from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.frontier import hypervolume, pareto_mask, staircase
from rdc.errors import ConfigError, DataError

# Few distinct values: ties and equal points are the hard cases.
VALUES = st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan])


def point_sets(max_objectives: int = 4) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(0, 12), st.integers(1, max_objectives))
    return shapes.flatmap(lambda shape: hnp.arrays(float, shape, elements=VALUES))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(point_sets(), st.data())
def test_pareto_mask_equals_comparing_all_pairs(
    points: np.ndarray, data: st.DataObject
) -> None:
    size = points.shape[1]
    minimise = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    costs = np.where(minimise, points, -points)
    expected = [
        not np.isnan(p).any() and not any(dominates(q, p) for q in costs) for p in costs
    ]
    assert pareto_mask(points, minimise).tolist() == expected


@pytest.mark.parametrize("objectives", [2, 3])
def test_pareto_mask_of_more_points_than_are_compared_at_once(objectives: int) -> None:
    random = np.random.default_rng(0)
    points = random.integers(0, 30, (1000, objectives)).astype(float)
    expected = [not any(dominates(q, p) for q in points) for p in points]
    assert pareto_mask(points).tolist() == expected


def test_pareto_mask_of_many_points_is_fast_enough_to_call_on_a_grid() -> None:
    points = np.random.default_rng(0).random((100_000, 2))
    mask = pareto_mask(points)
    assert 1 <= mask.sum() < 100


def test_pareto_mask_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(DataError, match="one row each"):
        pareto_mask([1.0, 2.0])
    with pytest.raises(ConfigError, match="one entry per objective; got 1 for 2"):
        pareto_mask([[1.0, 2.0]], [True])


def test_staircase_holds_the_cheaper_point_until_the_dearer() -> None:
    points = [[4, 1], [1, 3], [2, 2], [3, 2], [np.nan, 0]]
    assert staircase(points).tolist() == [[1, 3], [2, 3], [2, 2], [4, 2], [4, 1]]
    assert staircase(np.empty((0, 2))).shape == (0, 2)


def test_staircase_of_a_measure_of_which_more_is_better() -> None:
    points = np.array([[4, -1], [1, -3], [2, -2], [3, -2], [np.nan, 0]])
    steps = [[1, -3], [2, -3], [2, -2], [4, -2], [4, -1]]
    assert staircase(points, [True, False]).tolist() == steps
    swapped = staircase(points * [-1, 1], [False, False])
    assert swapped.tolist() == [[-x, y] for x, y in steps]


GOLDEN = [
    ([[1.0]], [3.0], 2.0),
    ([[1, 2], [2, 1]], [3, 3], 3.0),
    ([[1, 2], [1, 2], [2, 2]], [3, 3], 2.0),
    ([[0, 0, 1], [1, 1, 0]], [2, 2, 2], 5.0),
    ([[0, 0, 0, 0]], [2, 2, 2, 2], 16.0),
    ([[0, 0, 0, 1], [1, 1, 1, 0]], [2, 2, 2, 2], 9.0),
    ([[3, 0]], [3, 3], 0.0),  # on the border of the reference: nothing
    ([[5, 5], [1, 1]], [3, 3], 4.0),
    (np.empty((0, 2)), [3, 3], 0.0),
    ([], [3, 3], 0.0),
]


@pytest.mark.parametrize(("points", "reference", "volume"), GOLDEN)
def test_hypervolume_of_hand_made_cases(
    points: object, reference: object, volume: float
) -> None:
    assert hypervolume(points, reference) == pytest.approx(volume, abs=1e-12)


@settings(max_examples=60)
@given(
    st.integers(1, 4).flatmap(
        lambda d: hnp.arrays(float, (6, d), elements=st.integers(0, 5).map(float))
    )
)
def test_hypervolume_equals_counting_unit_cells(points: np.ndarray) -> None:
    size = points.shape[1]
    cells = np.array(list(itertools.product(range(4), repeat=size)))
    covered = (points[None] <= cells[:, None]).all(axis=2).any(axis=1)
    assert hypervolume(points, [4] * size) == pytest.approx(covered.sum())


def test_hypervolume_refuses_what_has_no_volume() -> None:
    with pytest.raises(DataError, match="finite points; got nan"):
        hypervolume([[np.nan, 1]], [2, 2])
    with pytest.raises(DataError, match="finite reference; got inf"):
        hypervolume([[1, 1]], [np.inf, 2])
    with pytest.raises(ConfigError, match="same objectives; got 2 and 3"):
        hypervolume([[1, 1]], [2, 2, 2])
    with pytest.raises(ConfigError, match="one point"):
        hypervolume([[1, 1]], [[2, 2]])
