"""What the learned starts of overfitted codecs are worth on validation photographs.

`make bench` writes docs/results/learned_start.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.overfitted.optimisation import Problem
from rdc.overfitted.parameters import drawn, initial, learned_starts, start_key
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import PRESETS
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "learned_start.md"
COMMAND = (
    ".venv/bin/python -m pytest -m benchmark tests/benchmarks/test_learned_starts.py"
)
SIDE_PX, IMAGES, STEPS, LMBDA = 256, 4, 200, 0.0125


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_learned_starts(shared_data: Path) -> None:
    paths = list_images(shared_data / "val")
    chosen = paths[:: len(paths) // IMAGES][:IMAGES]
    crops = [middle(read_image(path)) for path in chosen]
    rows = []
    for name, spec in PRESETS.items():
        if start_key(spec) not in learned_starts():
            rows.append(f"| {name} | not learned | | |")
            continue
        plain, learned = (
            np.mean([searched(Problem(spec, x), networks) for x in crops])
            for networks in (drawn(spec), initial(spec))
        )
        change = f"{100 * (learned / plain - 1):+.1f} %"
        rows.append(f"| {name} | {plain:.3f} | {learned:.3f} | {change} |")
    RESULTS.write_text(document(rows))
    print(RESULTS.read_text())


def middle(x: np.ndarray) -> np.ndarray:
    top, left = ((side - SIDE_PX) // 2 for side in x.shape[:2])
    return x[top : top + SIDE_PX, left : left + SIDE_PX]


def searched(problem: Problem, networks: dict[str, np.ndarray]) -> float:
    beginning = problem.beginning(networks)
    fit = problem.optimised(LMBDA, Schedule(steps=STEPS), start=beginning)
    return problem.loss(fit, LMBDA)


def document(rows: list[str]) -> str:
    table = "\n".join(rows)
    return f"""# Starts of overfitted codecs

RD loss at lambda {LMBDA:g} after {STEPS} steps, networks' bits not counted: mean of the
middles, {SIDE_PX} px, of {IMAGES} validation photographs. The starts were learned on
others (`python -m rdc.overfitted.learned_start`).

`{COMMAND}`

| codec | from a plain start | from the learned one | change |
| --- | --- | --- | --- |
{table}
"""
