from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import measures
from analysis.frontier import pareto_mask
from analysis.gather import gather
from analysis.measures import MEASURES, Measure, measures_of
from analysis.report.data import ReportData
from analysis.report.payload import payload
from analysis.tables import read_tables
from rdc.errors import ConfigError
from rdc.measurements.metrics import METRICS
from rdc.ops import distortions
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures


def bits_per_parameter(points: pd.DataFrame) -> pd.Series:
    return points["bpp"] / points["params_decoder"]


def worst_psnr_db(images: pd.DataFrame) -> pd.Series:
    keys = [images[name] for name in ("run_id", "rate")]
    return images.groupby(keys)["psnr_db"].transform("min")


NEW = (
    Measure("bits_per_parameter", "bits per parameter", "bit", bits_per_parameter),
    Measure(
        "worst_psnr_db", "worst PSNR", "dB", worst_psnr_db, "image", minimise=False
    ),
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for measure in NEW:
        monkeypatch.setitem(MEASURES, measure.name, measure)


@pytest.mark.usefixtures("registered")
def test_a_new_measure_is_a_column_an_axis_and_an_objective(tmp_path: Path) -> None:
    """One function and one line of the registry each, and nothing else."""
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64, 128))))
    objectives = ("kflops_per_px", "worst_psnr_db", "bits_per_parameter")
    gather(tmp_path, objectives)
    table = read_tables(tmp_path)["frontier"]
    images = read_tables(tmp_path)["rate_distortion"].groupby("run_id")["psnr_db"]
    pd.testing.assert_series_equal(
        table.set_index("run_id")["worst_psnr_db"],
        images.min()[table["run_id"]],
        check_names=False,
    )
    expected = table["bpp"] / 20_000_000
    assert table["bits_per_parameter"].tolist() == expected.tolist()
    mask = pareto_mask(table[list(objectives)].to_numpy(), [True, False, True])
    assert table["on_frontier"].tolist() == mask.tolist()
    assert 0 < mask.sum() < len(mask)

    data = ReportData.read(tmp_path, ("bits_per_parameter", "worst_psnr_db"))
    page = payload(data)
    assert {m.name for m in NEW} <= {measure["name"] for measure in page["measures"]}
    assert page["axes"] == ["bits_per_parameter", "worst_psnr_db"]
    assert page["points"]["worst_psnr_db"] == pytest.approx(
        table["worst_psnr_db"].tolist(), rel=1e-5
    )


def test_metrics_of_images_are_measures() -> None:
    for name, metric in METRICS.items():
        assert MEASURES[name].title.startswith(metric.label)
        assert MEASURES[name].minimise == metric.minimise


def test_ms_ssim_in_db_is_of_the_mean(mixed_sweep: Path) -> None:
    table = read_tables(mixed_sweep)["frontier"].dropna(subset=["ms_ssim"])
    assert len(table)
    expected = -10 * np.log10(1 - table["ms_ssim"])
    assert table["ms_ssim_db"].tolist() == pytest.approx(expected.tolist())


def test_loss_is_of_the_distortion_that_was_trained_for(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    recipe = {"crop_px": 192, "distortion": "ms_ssim"}
    sweep.finish(sweep.plan(architectures((32,)), lmbda=8.0, **recipe))
    tables = gather(tmp_path)
    images = tables["rate_distortion"].dropna(subset=["ms_ssim"])  # three of four
    losses = images["bpp_coded"] + 8.0 * (1 - images["ms_ssim"])
    expected = losses.groupby(images["run_id"]).mean()
    found = tables["frontier"].set_index("run_id")["rd_loss"]
    pd.testing.assert_series_equal(found, expected[found.index], check_names=False)


def test_every_distortion_has_a_measured_one() -> None:
    assert set(measures.DISTORTIONS) == set(distortions.DISTORTIONS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "at least one objective"),
        (("bpp", "bpp"), "objectives are different"),
        (("quality",), "unknown measure"),
    ],
)
def test_refuses_what_is_no_list_of_measures(
    names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        measures_of(names)
