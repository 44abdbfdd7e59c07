"""The page of attacks on the bytes, of rows that were never measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.robustness_page import main, points
from rdc.errors import ExitCode


def rows(target: str, answers: bool) -> list[dict]:
    """Two seeds, two photographs; 4 levels cost half as much again, and an answer."""
    return [
        {
            "target": target,
            "setting": "beta=1",
            "seed": seed,
            "attack": attack,
            "photograph": f"{i}.png",
            "eps_255": level,
            "steps": 20,
            "bytes_before": 100 * (i + 1),
            "bytes_after": 100 * (i + 1) * (1 + level / 8 * (attack == "gradient")),
            "right_before": True if answers else None,
            "right_after": (level < 4 or i > 0) if answers else None,
            "attack_id": "0" * 16,
        }
        for seed in (0, 1)
        for attack in ("gradient", "noise")
        for level in (2, 4)
        for i in (0, 1)
    ]


def written(file: Path, targets: dict[str, bool]) -> Path:
    told = [row for target in targets.items() for row in rows(*target)]
    pd.DataFrame(told).to_csv(file, index=False)
    return file


def test_a_point_is_the_mean_of_seeds_and_photographs(tmp_path: Path) -> None:
    file = written(tmp_path / "attacks.csv", {"student": True})
    found = points(pd.read_csv(file, dtype={"right_before": str, "right_after": str}))
    strong = found[(found["attack"] == "gradient") & (found["eps_255"] == 4)].iloc[0]
    assert (strong["seeds"], strong["photographs"]) == (2, 2)
    assert (strong["bytes_before"], strong["bytes_after"]) == (150, 225)
    assert (strong["increase"], strong["most"]) == (0.5, 0.5)
    assert (strong["right_before"], strong["right_after"]) == (1, 0.5)


def test_the_page_says_what_was_not_measured(tmp_path: Path) -> None:
    file, place = tmp_path / "attacks.csv", tmp_path / "page.md"
    assert main([str(written(file, {"jpeg": False})), str(place)]) == 0
    assert "not measured yet" in place.read_text()
    both = written(file, {"jpeg": False, "student": True})
    assert main([str(both), str(place)]) == 0
    text = place.read_text()
    assert "not measured yet" not in text
    assert "| student | beta=1 | 2 | 2 | gradient | 4 | 150 | 225 | +50.0 % |" in text
    assert "2403.00942" in text
    assert place.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", None])
def test_another_file_is_refused(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "attacks.csv"
    if content is not None:
        file.write_text(content)
    assert main([str(file), str(tmp_path / "page.md")]) == ExitCode.BAD_INPUT
    assert "`rdc inflate`" in capsys.readouterr().err
