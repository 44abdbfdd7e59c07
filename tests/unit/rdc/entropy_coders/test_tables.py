"""Integer tables: exact sums, near-least bits, and refusal of broken ones."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from rdc.entropy_coders.tables import CdfTables, tables_from_pmfs
from rdc.errors import BitstreamError
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, SCALES, ideal_bits

GAUSSIAN_SHA256 = "3332a079b381c1ebaa42415293a4d928b43272420f58a39ab40be67ed1ca5277"


def test_gaussian_tables_are_64_and_frozen_by_this_hash():
    assert len(GAUSSIAN) == 64
    assert GAUSSIAN.sha256 == GAUSSIAN_SHA256


def test_every_entry_can_be_coded_and_tables_sum_to_two_to_the_sixteen():
    for frequencies in GAUSSIAN.split():
        assert frequencies.min() >= 1
        assert frequencies.sum() == 2**16


def test_gaussian_tables_are_centred():
    ends = GAUSSIAN.offsets + GAUSSIAN.sizes - 2
    np.testing.assert_array_equal(ends, -GAUSSIAN.offsets)
    for frequencies in GAUSSIAN.split():
        regular = frequencies[:-1].astype(int)
        # Leftovers of rounding go to one side of a pair first.
        assert np.abs(regular - regular[::-1]).max() <= 1


@pytest.mark.parametrize("table", range(64))
def test_expected_bits_are_those_of_the_gaussian(table):
    scale = SCALES[table]
    symbols = np.arange(-int(12 * scale) - 2, int(12 * scale) + 3, dtype=np.int32)
    distance = np.abs(symbols)
    mass = ndtr((0.5 - distance) / scale) - ndtr((-0.5 - distance) / scale)
    entropy = -(mass * np.log2(np.maximum(mass, 1e-300))).sum()
    likely = mass > 1e-12
    index = np.full(1, table)
    bits = np.zeros(mass.size)
    bits[likely] = [ideal_bits(s[None], index, GAUSSIAN) for s in symbols[likely]]
    excess = (mass * bits).sum() - entropy
    assert -1e-9 < excess < 1e-4 + 5e-4 * entropy


def test_tables_travel_as_arrays():
    file = io.BytesIO()
    np.savez(file, **GAUSSIAN.to_arrays())
    file.seek(0)
    loaded = CdfTables.from_arrays(np.load(file))
    assert loaded.sha256 == GAUSSIAN.sha256
    assert len(file.getvalue()) < 50_000


def tables(frequencies, sizes, offsets):
    return CdfTables(
        np.array(frequencies, np.uint16),
        np.array(sizes, np.int32),
        np.array(offsets, np.int32),
    )


@pytest.mark.parametrize(
    ("frequencies", "sizes", "offsets", "rule"),
    [
        ([65535, 0, 1], [3], [0], "at least 1"),
        ([65535, 2], [2], [0], r"sum to 2\^16"),
        ([65535, 1], [3], [0], "fill their sizes"),
        ([65535, 1], [2], [0, 0], "offset each"),
        ([1, 65535], [1, 1], [0, 0], "two entries"),
        ([65535, 1], [2], [2**20], r"under 2\^20"),
    ],
)
def test_broken_tables_are_refused(frequencies, sizes, offsets, rule):
    with pytest.raises(BitstreamError, match=rule):
        tables(frequencies, sizes, offsets)


def test_tails_are_left_to_the_escape_entry():
    pmf = np.array([1e-6, 1e-5, 0.1, 0.8, 0.09, 1e-5])
    made = tables_from_pmfs([pmf], [-3])
    np.testing.assert_array_equal(made.sizes, [4])
    np.testing.assert_array_equal(made.offsets, [-1])
    expected = np.array([0.1, 0.8, 0.09, 0.01]) * 65536
    np.testing.assert_allclose(made.frequencies, expected, atol=8)


def test_quantisation_spends_the_least_bits():
    pmf = np.array([0.89, 0.1, 0.0099, 0.0001]) * (1 - 2e-6)
    made = tables_from_pmfs([pmf], [0], tail_mass=0.0).frequencies.astype(int)
    full = np.append(pmf, 1 - pmf.sum())

    def bits(frequencies):
        return -(full * np.log2(frequencies / 65536)).sum()

    for give, take in itertools.permutations(range(5), 2):
        other = made.copy()
        other[give] -= 1
        other[take] += 1
        if other[give] >= 1:
            assert bits(made) <= bits(other)


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    escape=st.floats(1e-9, 0.9),
)
def test_any_probabilities_give_valid_tables(weights, escape):
    weights = np.array(weights) + 1e-3
    pmf = weights / weights.sum() * (1 - escape)
    made = tables_from_pmfs([pmf], [-5])  # CdfTables checks itself
    assert 2 <= made.sizes[0] <= pmf.size + 1


@pytest.mark.parametrize("pmf", [[0.5, np.nan], [-0.1, 1.1], [0.0, 0.0], [np.inf, 0.0]])
def test_what_is_no_probability_is_refused(pmf):
    with pytest.raises(ValueError, match="probabilities"):
        tables_from_pmfs([np.array(pmf)], [0])
