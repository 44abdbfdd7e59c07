"""Figures of rate saved: one anchor, one range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bd_measure import common_range
from analysis.curves import Anchor
from analysis.gather import gather
from analysis.report.data import ReportData
from analysis.report.savings_figures import (
    bd_rate_figure,
    saved,
    savings_figure,
)
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures, curve_bpp

PSNR = np.array([28.0, 30, 32, 34, 36])


def test_a_constant_factor_is_saved_everywhere() -> None:
    bpp = np.array([curve_bpp(p) for p in PSNR])
    curve = pd.DataFrame({"bpp": 0.8 * bpp[1:], "psnr_db": PSNR[1:]})
    at, percent = saved(Anchor("a", "measured", bpp, PSNR), curve)
    assert (at[0], at[-1]) == (30, 36)
    np.testing.assert_allclose(percent, -20)


def test_curves_without_the_common_range_are_left_out() -> None:
    rows = pd.DataFrame(
        {"range_low_db": [28.0, 28, 28, 31], "range_high_db": [35.0, 36, 32, 36]}
    )
    kept, window = common_range(rows)
    assert window == (28.0, 32.0)
    assert list(kept.index) == [0, 1, 2]


def test_figures_of_a_sweep_with_an_anchor(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=1.0)
    sweep.classical("jpeg")
    gather(tmp_path)
    data = ReportData.read(tmp_path)
    (axes,) = bd_rate_figure(data).axes
    (points,) = axes.collections
    assert points.get_offsets()[0][1] == pytest.approx(-100 * (1 - 2**-0.25))
    assert "against JPEG, 26.0 to 38.0 dB" in axes.get_title()
    (axes,) = savings_figure(data).axes
    np.testing.assert_allclose(
        axes.lines[0].get_ydata(), -100 * (1 - 2**-0.25), rtol=1e-6
    )


def test_without_an_anchor_the_figures_say_so(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))[:1]))
    gather(tmp_path)
    data = ReportData.read(tmp_path)
    for draw in (bd_rate_figure, savings_figure):
        (axes,) = draw(data).axes
        assert "missing" in axes.texts[0].get_text()
