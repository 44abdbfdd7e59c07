from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.frontier import pareto_mask
from analysis.gather import gather
from analysis.tables import read_tables
from rdc.specs.coding import CodecSettings
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import HARDWARE, architectures, write_plan

CPU, GPU = HARDWARE


def test_times_of_another_image_size_stay_out_of_the_median(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    before = gather(tmp_path)["frontier"]["decode_ms"]
    path = next((tmp_path / "benchmarks").glob("*/*/record.json"))
    record = read_json(path)
    extra = [
        {**time, "height_px": 64, "width_px": 64, "decode_ms": 0.1}
        for time in record["result"]["times"]
    ]
    record["result"]["times"] += extra
    write_json_atomically(path, record)
    pd.testing.assert_series_equal(gather(tmp_path)["frontier"]["decode_ms"], before)


def test_frontier_is_of_measured_points_of_one_lambda(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    for lmbda in (0.0125, 0.05):
        jobs = sweep.plan(architectures((32, 64, 128)), lmbda=lmbda)
        sweep.finish(jobs[:-1])
    table = gather(tmp_path)["frontier"]
    assert len(table) == 24
    assert table["on_frontier"].sum() >= 2
    for _, rows in table.groupby("lmbda"):
        points = rows[["kflops_per_px", "rd_loss"]].to_numpy()
        assert rows["on_frontier"].tolist() == pareto_mask(points).tolist()
        assert rows["on_frontier"].any()
    objectives = table["frontier_objectives"].iloc[0]
    assert objectives.startswith("kflops_per_px min, rd_loss min")


def test_other_conditions_are_named(mixed_sweep: Path) -> None:
    table = read_tables(mixed_sweep)["frontier"]
    longer = (table["steps"] == 2000) & table["rd_loss"].notna()
    assert (table.loc[longer, "differs_in"] == "steps").all()
    assert longer.sum() == 1
    assert (table.loc[~longer, "differs_in"] == "").all()


def test_other_code_and_a_missing_image_are_other_conditions(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64)))
    sweep.finish(jobs[:-2])
    sweep.finish(jobs[-2:-1], git_sha="fedcba9")
    sweep.images = sweep.images[:-1]
    sweep.finish(jobs[-1:])
    assert gather(tmp_path)["frontier"]["differs_in"].tolist() == [
        *[""] * 6,
        "git_sha",
        "image_set",
    ]


def test_all_of_a_recipe_but_lmbda_and_seed_are_conditions(tmp_path: Path) -> None:
    """Micro-batches and rematerialisation change a result by rounding alone."""
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64))))
    for recipe in (
        {"lmbda": 0.05, "seed": 1, "accumulate": 2, "remat": True},
        {"precision": "bfloat16", "learning_rate": 1e-3},
        {"distortion": "ms_ssim", "crop_px": 192},
    ):
        sweep.finish(sweep.plan(architectures((32,))[:1], **recipe))
    frontier = gather(tmp_path)["frontier"]
    assert frontier["differs_in"].tolist() == [
        *[""] * 9,
        "precision, learning_rate",
        "crop_px, distortion",
    ]
    assert not frontier["on_frontier"].tolist()[-1]


def test_losses_of_two_distortions_have_a_frontier_each(tmp_path: Path) -> None:
    """Another distortion is marked, and compares within its own frontier."""
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64)), crop_px=192))
    other = sweep.plan(architectures((32,)), crop_px=192, distortion="ms_ssim")
    sweep.finish(other)
    table = gather(tmp_path)["frontier"]
    assert table["differs_in"].tolist() == [*[""] * 8, *["distortion"] * 4]
    for _, rows in table.groupby("distortion"):
        mask = pareto_mask(rows[["kflops_per_px", "rd_loss"]].to_numpy())
        assert rows["on_frontier"].tolist() == mask.tolist()
    quality = gather(tmp_path, ("bpp", "psnr_db"))["frontier"]
    assert not quality["on_frontier"][8:].any()


def test_recipes_from_before_a_field_are_at_its_default(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64))))
    plan = [row.to_dict() for row in sweep.rows]
    earlier = json.loads(plan[0]["recipe_json"])
    del earlier["remat"], earlier["ema"]
    plan[0]["recipe_json"] = json.dumps(earlier)
    write_plan(tmp_path, plan)
    assert (gather(tmp_path)["frontier"]["differs_in"] == "").all()


def test_points_that_do_not_compare_dominate_nobody(tmp_path: Path) -> None:
    """Twice the steps is better, and no reason to strike the others out."""
    sweep = SweepOutput(tmp_path)
    specs = architectures((32, 64, 128))
    sweep.finish(sweep.plan(specs))
    before = gather(tmp_path)["frontier"].set_index("run_id")["on_frontier"]
    (longer,) = sweep.plan(specs[:1], steps=1000)
    sweep.train(longer)
    sweep.evaluate(longer, psnr_db=34.0)
    table = gather(tmp_path)["frontier"].set_index("run_id")
    best = table.loc[longer.job_id]
    assert best["rd_loss"] < table.drop(longer.job_id)["rd_loss"].min()
    assert best["differs_in"] == "steps"
    assert not best["on_frontier"]
    assert table["on_frontier"][before.index].tolist() == before.tolist()
    assert before.any()


def test_evaluations_under_other_settings_stand_beside_each_other(
    tmp_path: Path,
) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64)))
    sweep.finish(jobs)
    before = gather(tmp_path)["frontier"]
    sweep.codec = CodecSettings(coder="tfc", numerics="exact")
    sweep.evaluate(jobs[0], psnr_db=44.0)
    tables = gather(tmp_path)
    assert len(tables["rate_distortion"]) == (len(jobs) + 1) * 4
    frontier = tables["frontier"]
    both = frontier[frontier["run_id"] == jobs[0].job_id]
    assert both["coder"].tolist() == ["range", "tfc"]
    assert both["numerics"].tolist() == ["native", "exact"]
    assert both["psnr_db"].tolist()[1] == 44
    # No gap is invented for the runs that were evaluated under one of them.
    assert len(frontier) == len(jobs) + 1
    # Nor does the better one dominate those of the other coder.
    usual = frontier[frontier["coder"] == "range"]
    assert usual["on_frontier"].tolist() == before["on_frontier"].tolist()
    assert (frontier["differs_in"] == "").all()
    # Times of the other coder are none of its own.
    assert np.isnan(both["decode_ms"].tolist()[1])


def test_times_of_two_coders_share_no_median(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    (job,) = sweep.plan(architectures((32,))[:1])
    sweep.finish([job])
    before = gather(tmp_path)["frontier"]
    sweep.codec = CodecSettings(coder="tfc")
    sweep.evaluate(job)
    path = sweep.benchmark(job)
    record = read_json(path)
    for time in record["result"]["times"]:
        time["decode_ms"] = 9000.0
    write_json_atomically(path, record)
    after = gather(tmp_path)["frontier"].set_index("coder")
    for stage in ("network", "entropy_coding", "end_to_end"):
        name = f"decode_ms.{CPU}.{stage}"
        assert after[name]["range"] == before[name][0]
        assert after[name]["tfc"] == 9000


def test_times_of_other_threads_share_no_median(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    before = gather(tmp_path)["frontier"]["decode_ms"]
    # Another identity, as a benchmark with other repeats would be: another record.
    sweep.repeats = 3
    sweep.benchmark(jobs[0], cpu_threads=1)
    tables = gather(tmp_path)
    assert set(tables["decode_times"]["cpu_threads"]) == {1, 2}
    pd.testing.assert_series_equal(tables["frontier"]["decode_ms"], before)


def test_one_row_per_image_set(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    sweep.dataset = "kodak"
    sweep.evaluate(jobs[0])
    table = gather(tmp_path)["frontier"]
    assert len(table) == 8
    kodak = table[table["dataset"] == "kodak"]
    assert kodak["rd_loss"].notna().sum() == 1
    assert (kodak["evaluation_status"] == "pending").sum() == 3


def test_newest_evaluation_of_a_changed_image_set_counts(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    old = gather(tmp_path)["frontier"]
    path = next((tmp_path / "evaluations").glob("*/*/record.json"))
    record = read_json(path)
    run_id = record["result"]["run_id"]
    record["result"]["images"] = record["result"]["images"][:2]
    write_json_atomically(tmp_path / "evaluations/zz/new/record.json", record)
    tables = gather(tmp_path)
    images = tables["rate_distortion"]
    assert (images["run_id"] == run_id).sum() == 2
    assert len(tables["frontier"]) == len(old)
    assert tables["frontier"].set_index("run_id")["images"][run_id] == 2
