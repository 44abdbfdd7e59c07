"""Several sweeps in one report, and the table that is printed of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.gather import gather, gather_together
from analysis.report.data import ReportData
from analysis.report.printed_table import FORMS, printed_table
from rdc.errors import ConfigError, DataError
from rdc.jobs.layout import SWEEP_FILE
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures


@pytest.fixture
def two_devices(tmp_path: Path) -> list[Path]:
    """One grid on two devices, and an architecture that the second alone has."""
    outs = []
    for number, device in enumerate(("c0ffee00c0ffee00", "9f09f09f09f09f09")):
        sweep = SweepOutput(tmp_path / f"out{number}", hardware_ids=(device,))
        sweep.finish(sweep.plan(architectures((32, 48))[: 3 + number]))
        outs.append(sweep.out)
    return outs


def test_runs_count_once_and_devices_add_up(
    two_devices: list[Path], tmp_path: Path
) -> None:
    tables = gather_together(two_devices, tmp_path / "both")
    alone = [gather(out) for out in two_devices]
    assert len(tables["runs"]) == 4
    assert (tables["runs"]["status"] == "ok").all()
    assert len(tables["frontier"]) == 4
    assert len(tables["decode_times"]) == sum(len(t["decode_times"]) for t in alone)
    first = alone[0]["frontier"].set_index("run_id")["rd_loss"]
    both = tables["frontier"].set_index("run_id")["rd_loss"]
    assert both.notna().all()
    assert set(first.index) < set(both.index)
    data = ReportData.read(tmp_path / "both")
    assert len(data.devices) == 2
    assert len(data.ranks_between_devices) == 1


def test_different_images_of_one_name_are_refused(
    two_devices: list[Path], tmp_path: Path
) -> None:
    path = two_devices[1] / SWEEP_FILE
    sweep = read_json(path)
    sweep["datasets"]["eval"]["data_sha256"] = "0" * 64
    write_json_atomically(path, sweep)
    with pytest.raises(DataError, match="same images under one name; got different"):
        gather_together(two_devices, tmp_path / "both")


def test_a_common_report_overwrites_no_sweep(two_devices: list[Path]) -> None:
    with pytest.raises(ConfigError, match="folder of its own"):
        gather_together(two_devices, two_devices[0])


def test_the_printed_table(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=1.0)
    sweep.classical("jpeg")
    gather(tmp_path)
    data = ReportData.read(tmp_path)
    texts = {form: printed_table(data, form) for form in FORMS}
    (row,) = pd.read_csv(pd.io.common.StringIO(texts["csv"])).to_dict("records")
    (saved,) = [value for name, value in row.items() if "BD-rate" in name]
    assert saved == -15.9
    assert texts["markdown"].count("\n") == 3
    assert texts["latex"].startswith(r"\begin{tabular}{llrrr}")
    assert r"BD-rate (\%) against JPEG, 26.0 to 38.0 dB" in texts["latex"]
