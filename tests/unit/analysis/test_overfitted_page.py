"""The page of the overfitted codecs, of a sweep that never ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import baselines
from analysis.gather import gather
from analysis.overfitted_page import main, write_page
from analysis.overfitted_page import page as text_of
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import architectures

LMBDAS = (0.0031, 0.00625, 0.0125, 0.025)


def test_the_page_has_means_images_and_rates(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path / "out", dataset="kodak")
    sweep.images = ("kodim01.png", "kodim02.png")
    sweep.plan(architectures((32,))[:1])
    sweep.overfitted("overfitted_300", lmbdas=LMBDAS)
    sweep.classical("jpeg")
    text = write_page(tmp_path / "out", tmp_path / "page.md").read_text()
    tables = gather(tmp_path / "out")
    assert text == text_of(tables["codecs"], tables["hardware"])
    rows = tables["codecs"].query("codec_class == 'overfitted' and setting == 0.0125")
    loss = (rows["bpp_coded"] + 0.0125 * rows["mse_255"]).mean()
    (means,) = [
        line
        for line in text.splitlines()
        if line.startswith("| overfitted 300, effort 0 | 600 | 2 | 2.4 |")
    ]
    assert f"| {loss:.3f} |" in means
    assert "## Means over 2 images of kodak" in text
    (row,) = [x for x in text.splitlines() if x.startswith("| kodim02.png")]
    assert row.endswith(" 0.533 |")  # Cool-chic: 0.266528 bpp, 34.847 dB
    assert "| 0.0031, 0.00625, 0.0125, 0.025 | 2 | JPEG |" in text


def test_a_sweep_without_searches_has_no_page(tmp_path: Path, capsys) -> None:
    sweep = SweepOutput(tmp_path / "out")
    sweep.plan(architectures((32,))[:1])
    sweep.classical("jpeg")
    assert main([str(tmp_path / "out"), str(tmp_path / "page.md")]) == 2
    assert "fitted at lambda 0.0125" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_published_points_give_the_published_mean() -> None:
    """0.789 for lambda 0.001."""
    points = baselines.cool_chic()
    points = points[points["lmbda"] == 0.001]
    assert len(points) == 24
    assert baselines.is_kodak(set(points["image"]))
    loss = points["bpp"] + 0.0125 * 255**2 * 10 ** (-points["psnr_db"] / 10)
    assert loss.mean() == pytest.approx(0.789, abs=6e-4)
