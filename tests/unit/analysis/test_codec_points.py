"""Codecs without a model: as points beside models, and as anchors."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from analysis.codec_points import classical_measures, overfitted_measures
from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.figures import frontier_figure
from analysis.report.payload import payload
from analysis.report.terminal import print_frontier
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures

LMBDAS = (0.005, 0.0125)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepOutput:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep)
    sweep.classical("jpeg")
    sweep.overfitted("overfitted_300", lmbdas=LMBDAS)
    return sweep


def test_overfitted_codecs_are_points_and_no_anchors(sweep: SweepOutput) -> None:
    tables = gather(sweep.out)
    assert set(tables["curves"]["anchor"]) == {"JPEG"}
    points = overfitted_measures(tables["codecs"])
    assert list(points["label"]) == ["overfitted 300, effort 0"] * 2
    assert list(points["lmbda"]) == list(LMBDAS)
    assert list(points["images"]) == [4, 4]
    rows = tables["codecs"][tables["codecs"]["codec_class"] == "overfitted"]
    loss = rows["bpp_coded"] + rows["setting"] * rows["mse_255"]
    expected = loss.groupby(rows["setting"]).mean()
    assert list(points["rd_loss"]) == pytest.approx(list(expected))
    assert set(points["kflops_per_px"]) == {2.4}


def test_classical_codecs_stand_at_the_best_setting_for_a_lambda(
    sweep: SweepOutput,
) -> None:
    codecs = gather(sweep.out)["codecs"]
    points = classical_measures(codecs, LMBDAS)
    assert list(points["lmbda"]) == list(LMBDAS)
    rows = codecs[codecs["codec_class"] == "classical"]
    for point in points.itertuples():
        losses = rows["bpp_coded"] + point.lmbda * rows["mse_255"]
        means = losses.groupby(rows["setting"]).mean()
        assert point.setting == means.idxmin()
        assert point.rd_loss == pytest.approx(means.min())
    assert points["kflops_per_px"].isna().all()
    assert (points["file_decode_ms"] > 0).all()
    assert classical_measures(codecs, []).empty


def test_a_report_has_both(sweep: SweepOutput) -> None:
    gather(sweep.out)
    data = ReportData.read(sweep.out)
    told = payload(data)["other_codecs"]
    overfitted = [one for one in told if one["family"] == "overfitted"]
    assert [one["lmbda"] for one in overfitted] == list(LMBDAS)
    classical = [one for one in told if one["family"] == "classical"]
    assert {one["lmbda"] for one in classical} >= set(LMBDAS)
    assert not any("kflops_per_px" in one for one in classical)


def test_a_sweep_without_models_shows_its_codecs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.plan(architectures((20,))[:1])
    sweep.overfitted("overfitted_300")
    sweep.classical("jpeg")
    gather(tmp_path)
    print_frontier(tmp_path, Console(width=100))
    told = capsys.readouterr().out
    assert "overfitted 300, effort 0" in told
    assert "JPEG" in told
    figure = frontier_figure(ReportData.read(tmp_path))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["overfitted 300, effort 0"]  # JPEG has no decoder cost
