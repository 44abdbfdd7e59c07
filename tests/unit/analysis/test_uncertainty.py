"""Intervals: images resampled alike for all points, seeds, BD-rates of many draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bd_rate import bd_rate
from analysis.bd_rate_draws import bd_rates
from analysis.gather import gather
from analysis.measures import DEFAULT_OBJECTIVES
from analysis.tables import read_tables
from analysis.uncertainty import resample
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput, write_curve
from tests.unit.analysis.invented import architectures


def intervals(out: Path) -> pd.DataFrame:
    """Of points, beside what was measured of them."""
    gather(out)
    resample(out, DEFAULT_OBJECTIVES)
    tables = read_tables(out)
    shown = tables["frontier"][["run_id", "rate", "rd_loss", "kflops_per_px", "seed"]]
    return tables["intervals"].merge(shown, on=["run_id", "rate"])


def curves(seed: int, points: int, draws: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    psnr = 26 + np.cumsum(random.uniform(0.4, 3, (draws, points)), axis=1)
    return np.exp(np.cumsum(random.uniform(0.1, 0.8, psnr.shape), axis=1) - 3), psnr


def test_many_bd_rates_are_those_of_one_by_one() -> None:
    anchor, curve = curves(0, 6), curves(1, 5)
    found = bd_rates(*anchor, *curve)
    expected = [bd_rate(*one) for one in zip(*anchor, *curve, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    shuffled = [values[:, [3, 0, 4, 1, 2]] for values in curve]
    np.testing.assert_allclose(bd_rates(*anchor, *shuffled), expected, rtol=1e-9)


def test_a_draw_without_a_rising_curve_or_overlap_has_no_bd_rate() -> None:
    anchor, (bpp, psnr) = curves(0, 6), curves(1, 5)
    psnr[0, 2] = psnr[0, 1]
    psnr[1] += 100
    found = bd_rates(*anchor, bpp, psnr)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()


def test_images_alike_leave_no_doubt(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=1.0)
    sweep.classical("jpeg")
    found = intervals(tmp_path)
    assert len(found) == 5
    for end in ("rd_loss_low", "rd_loss_high"):
        np.testing.assert_allclose(found[end], found["rd_loss"], rtol=1e-12)
    (row,) = read_tables(tmp_path)["curves"].to_dict("records")
    for end in ("bd_rate_low_percent", "bd_rate_high_percent"):
        assert row[end] == pytest.approx(row["bd_rate_percent"])
        np.testing.assert_allclose(found[end], row["bd_rate_percent"])


def test_many_bd_rates_over_an_asked_range() -> None:
    anchor, curve = curves(0, 6), curves(1, 5)
    overlap = [
        pick(anchor[1][:, end], curve[1][:, end])
        for pick, end in ((np.maximum, 0), (np.minimum, -1))
    ]
    low, high = overlap[0] + 0.5, overlap[1] - 0.5
    found = bd_rates(*anchor, *curve, (low, high))
    expected = [
        bd_rate(*one, psnr_range_db=window)
        for *one, window in zip(
            *anchor, *curve, zip(low, high, strict=True), strict=True
        )
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isnan(bd_rates(*anchor, *curve, (low - 1, high))).all()


def test_a_model_that_is_the_anchor_has_intervals_against_itself(
    tmp_path: Path,
) -> None:
    sweep = SweepOutput(tmp_path)
    write_curve(sweep, better_db=1.0)
    curve_id = gather(tmp_path)["frontier"]["curve_id"].iloc[0]
    gather(tmp_path, anchor=curve_id)
    resample(tmp_path, DEFAULT_OBJECTIVES)
    tables = read_tables(tmp_path)
    for table in (tables["intervals"], tables["curves"]):
        ends = table[["bd_rate_low_percent", "bd_rate_high_percent"]]
        np.testing.assert_allclose(ends, 0, atol=1e-9)


def test_what_all_points_find_hard_cancels_out(tmp_path: Path) -> None:
    """Images differ ten times as much as the points do, and the better one is sure."""
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64))[:2])
    for number, job in enumerate(jobs):
        sweep.train(job)
        path = sweep.evaluate(job)
        record = read_json(path)
        for place, image in enumerate(record["result"]["images"]):
            image |= {"mse_255": 10.0, "psnr_db": 38.0}
            image["bpp_coded"] = 1.0 * (1 + place) - 0.1 * number
        write_json_atomically(path, record)
    found = intervals(tmp_path).sort_values("rd_loss")
    widths = found["rd_loss_high"] - found["rd_loss_low"]
    assert (widths > 1).all()
    assert found["frontier_probability"].iloc[0] == 1
    dearer = found["kflops_per_px"].iloc[1] > found["kflops_per_px"].iloc[0]
    assert found["frontier_probability"].iloc[1] == (0 if dearer else 1)


def test_an_even_race_is_told_as_one(tmp_path: Path) -> None:
    """Equal in cost; each wins on half of the images."""
    sweep = SweepOutput(tmp_path, images=tuple(f"p{n}.png" for n in range(24)))
    jobs = sweep.plan(architectures((48,))[:1], learning_rate=1e-3)
    jobs += sweep.plan(architectures((48,))[:1], learning_rate=1e-3, seed=1)
    for number, job in enumerate(jobs):
        sweep.train(job)
        path = sweep.evaluate(job)
        record = read_json(path)
        for place, image in enumerate(record["result"]["images"]):
            image |= {"mse_255": 10.0, "psnr_db": 38.0}
            image["bpp_coded"] = 1.0 + 0.1 * ((place + number) % 2)
        write_json_atomically(path, record)
    found = intervals(tmp_path)
    assert set(found["seeds"]) == {2}
    # One architecture: both rows are of it, and of either training.
    assert found["rd_loss_low"].nunique() == found["rd_loss_high"].nunique() == 1
    mean = found["rd_loss"].mean()
    assert found["rd_loss_low"].iloc[0] < mean < found["rd_loss_high"].iloc[0]


def test_two_seeds_widen_the_interval_to_both(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    for seed, psnr_db in ((0, 30.0), (1, 33.0)):
        (job,) = sweep.plan(architectures((48,))[:1], seed=seed)
        sweep.train(job)
        sweep.evaluate(job, psnr_db=psnr_db)
    found = intervals(tmp_path)
    np.testing.assert_allclose(found["rd_loss_low"], found["rd_loss"].min())
    np.testing.assert_allclose(found["rd_loss_high"], found["rd_loss"].max())


def test_points_of_other_images_share_no_draw(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 48, 64))[:3])
    for job in jobs[:2]:
        sweep.train(job)
        sweep.evaluate(job)
    sweep.images = tuple(f"other{n}.png" for n in range(6))
    sweep.train(jobs[2])
    sweep.evaluate(jobs[2])
    found = intervals(tmp_path)
    assert len(found) == 3
    assert found["frontier_probability"].isna().sum() == 1  # it does not compare


def test_nothing_measured_gives_empty_tables(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.plan(architectures((48,))[:1])
    assert intervals(tmp_path).empty
