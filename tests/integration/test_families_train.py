"""Every family of the study learns from real photographs, and learns fast.

The law of the start: 200 steps from principal components end at a lower RD loss than
1000 from random weights (`tests/golden/random_start.py`), with the better of two
learning rates.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.random_start import FAMILIES, LOSSES, RECIPE, architecture, trained

RANDOM_LOSSES = json.loads(LOSSES.read_text())


def test_every_family_is_on_record() -> None:
    assert RANDOM_LOSSES.keys() == FAMILIES.keys()


# The plainest start and the most delicate one; `make bench` trains the others, half a
# minute each.
_ALWAYS = ("conv/hyperprior:conv", "swint/hyperprior:conv")


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(f, marks=() if f in _ALWAYS else pytest.mark.benchmark)
        for f in FAMILIES
    ],
)
def test_the_start_is_worth_800_steps(family: str, tmp_path: Path) -> None:
    assert architecture(family).family == family
    summary = trained(family, RECIPE, tmp_path).summary
    assert summary.steps == 200
    assert summary.skipped_steps == 0
    assert summary.loss_last < RANDOM_LOSSES[family]
    assert summary.loss_last < summary.loss_first
