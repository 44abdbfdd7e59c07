"""`launch/report.py` draws the frontier of any objectives that are measures."""

from pathlib import Path

import pandas as pd
import pytest

from launch.commands.report import REPORT_APP
from launch.config.app import run_app
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures


@pytest.fixture
def out(tmp_path: Path) -> Path:
    sweep = SweepOutput(tmp_path / "out")
    sweep.finish(sweep.plan(architectures((32, 64))))
    return sweep.out


def test_objectives_are_chosen_by_name(out: Path) -> None:
    names = ("params_total", "decode_ms", "psnr_db")
    options = [f"out={out}", f"objectives=[{','.join(names)}]"]
    assert run_app(REPORT_APP, options) == 0
    frontier = pd.read_parquet(out / "tables" / "frontier.parquet")
    (note,) = frontier["frontier_objectives"].unique()
    assert all(name in note for name in names)
    assert frontier["on_frontier"].any()
    assert "psnr_db max" in (out / "report" / "index.html").read_text()


def test_an_unknown_measure_is_named_and_nothing_is_written(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(REPORT_APP, [f"out={out}", "objectives=[psnr]"]) == 2
    assert "Did you mean psnr_db" in capsys.readouterr().err
    assert not (out / "report").exists()
