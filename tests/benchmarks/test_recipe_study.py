"""Recipes for short trainings, at equal processor seconds of one core.

`make bench` writes docs/results/recipes.jsonl, a row per model, and the tables of
docs/results/recipes.md. Rows that are there are not measured again: remove the file to
measure all of them. RDC_BENCHMARK_CORE is the core, 0 unless said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest

from tests.benchmarks.recipes import page
from tests.benchmarks.recipes.variants import FINALISTS, SEEDS, STUDIES
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "recipes.md"
ROWS = RESULTS.with_suffix(".jsonl")


@pytest.mark.benchmark
@pytest.mark.timeout(0)
def test_recipes(shared_data: Path) -> None:
    for study in STUDIES:
        command = [sys.executable, "-m", "tests.benchmarks.recipes.trial"]
        subprocess.run(
            [*command, str(shared_data), str(ROWS), study], cwd=REPOSITORY, check=True
        )
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()]
    write_section("Every variant", ["conv, seed 0.", "", *page.screening(rows)])
    write_section(
        "Three families, three seeds", ["RD loss (steps).", "", *page.finalists(rows)]
    )
    losses = {
        variant: [
            row["rd_loss"]
            for row in rows
            if (row["variant"], row["architecture"], row["ema"])
            == (variant, "conv", "0")
            and row["seed"] in SEEDS
        ]
        for variant in FINALISTS
    }
    assert mean(losses["frequencies"]) < mean(losses["base"])


def write_section(title: str, lines: list[str]) -> None:
    """Replaces one section of the results."""
    head, *sections = RESULTS.read_text().split("\n## ")
    kept = [section for section in sections if not section.startswith(f"{title}\n")]
    body = "\n".join([title, "", *lines, ""])
    RESULTS.write_text("\n## ".join([head.rstrip() + "\n", *kept, body]))
