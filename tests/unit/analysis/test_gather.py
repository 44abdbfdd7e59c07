from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.frontier import pareto_mask
from analysis.gather import gather, problems
from analysis.tables import COLUMNS, SCHEMA_VERSION, read_tables
from rdc.errors import DataError
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import HARDWARE, SweepOutput, architectures

CPU, GPU = HARDWARE


def states(out: Path) -> dict[str, int]:
    return gather(out)["runs"]["status"].value_counts().to_dict()


def test_tables_have_the_columns_of_the_contract(mixed_sweep: Path) -> None:
    tables = read_tables(mixed_sweep)
    assert set(tables) == set(COLUMNS)
    for name, columns in COLUMNS.items():
        assert list(tables[name])[: len(columns)] == list(columns)
        assert (tables[name]["schema_version"] == SCHEMA_VERSION).all()
        path = mixed_sweep / "tables" / f"{name}.parquet"
        pd.testing.assert_frame_equal(pd.read_parquet(path), tables[name])


def test_every_planned_run_has_a_row_with_its_state(mixed_sweep: Path) -> None:
    runs = read_tables(mixed_sweep)["runs"]
    assert len(runs) == 20
    assert runs["status"].value_counts().to_dict() == {
        "ok": 14,
        "pending": 4,
        "diverged": 1,
        "failed": 1,
    }
    failed = runs[runs["status"] == "failed"].iloc[0]
    assert failed["error"].startswith("ValueError")
    assert failed["attempts"] == 2
    measured = runs[runs["status"] == "ok"]
    assert measured["loss_last"].notna().all()
    assert (measured["hardware_id"] == CPU).all()


def test_a_damaged_record_is_named_and_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64)))
    sweep.finish(jobs)
    cut = jobs[0].folder(tmp_path) / "record.json"
    cut.write_bytes(cut.read_bytes()[:100])
    edited = jobs[1].folder(tmp_path) / "record.json"
    edited.write_text(edited.read_text().replace("1.6", "0.1"))
    foreign = jobs[2].folder(tmp_path) / "record.json"
    write_json_atomically(foreign, {"status": "ok"})
    typed = jobs[3].folder(tmp_path) / "record.json"
    record = read_json(typed)
    record["result"]["loss_last"] = "low"
    write_json_atomically(typed, record)

    with caplog.at_level(logging.WARNING):
        runs = gather(tmp_path)["runs"].set_index("run_id")
    found = {p["record"]: p["problem"] for p in problems(tmp_path)}
    damaged = {
        str(path.relative_to(tmp_path)) for path in (cut, edited, foreign, typed)
    }
    assert set(found) == damaged
    assert all(record in caplog.text for record in damaged)
    assert "not valid JSON" in found[str(cut.relative_to(tmp_path))]
    assert "checksum" in found[str(edited.relative_to(tmp_path))]
    assert "not a train record" in found[str(foreign.relative_to(tmp_path))]
    assert "wrong type" in found[str(typed.relative_to(tmp_path))]
    assert (runs.loc[[j.job_id for j in jobs[:4]], "status"] == "pending").all()
    assert runs["error"].notna().sum() == 4
    assert (runs.loc[[j.job_id for j in jobs[4:]], "status"] == "ok").all()


def test_quality_is_the_mean_over_images(mixed_sweep: Path) -> None:
    tables = read_tables(mixed_sweep)
    rows = tables["frontier"].set_index("run_id")
    images = tables["rate_distortion"]
    run_id = images["run_id"].iloc[0]
    own = images[images["run_id"] == run_id]
    assert rows["images"][run_id] == len(own) == 4
    assert rows["bpp"][run_id] == pytest.approx(own["bpp_coded"].mean())
    assert rows["psnr_db"][run_id] == pytest.approx(own["psnr_db"].mean())
    assert rows["rd_loss"][run_id] == pytest.approx(own["rd_loss"].mean())
    assert own["ms_ssim"].isna().sum() == 1  # a small image has none
    assert rows["ms_ssim"][run_id] == pytest.approx(0.97)


def test_decode_times_are_medians_per_hardware_and_stage(mixed_sweep: Path) -> None:
    tables = read_tables(mixed_sweep)
    rows = tables["frontier"].set_index("run_id")
    times = tables["decode_times"]
    run_id = times["run_id"].dropna().iloc[0]
    for hardware_id in HARDWARE:
        for stage in ("network", "entropy_coding", "end_to_end"):
            own = times[
                (times["run_id"] == run_id)
                & (times["hardware_id"] == hardware_id)
                & (times["stage"] == stage)
            ]["decode_ms"]
            median = rows[f"decode_ms.{hardware_id}.{stage}"][run_id]
            assert median == pytest.approx(np.median(own))
            speed = rows[f"mpx_per_s.{hardware_id}.{stage}"][run_id]
            assert speed == pytest.approx(512 * 768 / 1000 / median)
            low = rows[f"decode_ms_q25.{hardware_id}.{stage}"][run_id]
            assert low == pytest.approx(np.quantile(own, 0.25))
    # The device that timed most architectures is the plain column's.
    assert (rows["decode_hardware_id"] == CPU).all()
    assert rows["decode_ms"].equals(
        rows[f"decode_ms.{CPU}.network"].rename("decode_ms")
    )


def test_random_weights_time_the_network_stage_of_every_run(mixed_sweep: Path) -> None:
    tables = read_tables(mixed_sweep)
    times = tables["decode_times"]
    arch_id = times.loc[times["run_id"].isna(), "arch_id"].iloc[0]
    row = tables["frontier"].set_index("arch_id").loc[arch_id]
    assert row["evaluation_status"] == "failed"
    assert np.isnan(row["rd_loss"])
    assert row[f"decode_ms.{CPU}.network"] > 0
    assert np.isnan(row[f"decode_ms.{CPU}.end_to_end"])
    assert np.isnan(row[f"decode_ms.{GPU}.network"])


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
    assert "kflops_per_px, rd_loss" in table["frontier_objectives"].iloc[0]


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
        "images",
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
    # Nothing to compare the last one with: its loss weighs another distortion.
    assert frontier["on_frontier"].tolist()[-1]


def test_recipes_of_before_a_field_are_at_its_default(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32, 64))))
    plan = pd.read_parquet(tmp_path / "plan.parquet")
    earlier = json.loads(plan["train_json"][0])
    del earlier["precision"], earlier["ema"]
    plan.loc[0, "train_json"] = json.dumps(earlier)
    plan.to_parquet(tmp_path / "plan.parquet")
    tables = gather(tmp_path)
    assert (tables["runs"]["precision"] == "float32").all()
    assert (tables["frontier"]["differs_in"] == "").all()


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


def test_before_anything_ran(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.plan(architectures((32,)), counted=False)
    tables = gather(tmp_path)
    assert (tables["runs"]["status"] == "pending").all()
    assert tables["complexity"].empty
    assert tables["frontier"]["dataset"].isna().all()
    assert not tables["frontier"]["on_frontier"].any()
    assert tables["architectures"]["kflops_per_px"].isna().all()


def test_a_live_attempt_is_running_and_a_dead_one_pending(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    live, dead = sweep.progress(jobs[0]), sweep.progress(jobs[1])
    os.utime(dead, (0, 0))
    runs = gather(tmp_path)["runs"]
    assert runs["status"].tolist() == ["running", "pending", "pending", "pending"]
    assert runs["attempts"].tolist() == [1, 1, 0, 0]
    assert live.exists()


def test_no_plan_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds its plan; got no .*plan.parquet"):
        gather(tmp_path)
    (tmp_path / "plan.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="is a parquet file"):
        gather(tmp_path)


def test_tables_are_needed_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs the tables"):
        read_tables(tmp_path)


def test_gathering_again_equals_gathering_afresh(tmp_path: Path) -> None:
    """Records that appear, change, break and go, with and without the cache."""
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32, 64, 128)))
    sweep.finish(jobs[3:6])
    assert states(tmp_path) == {"ok": 3, "pending": 9}
    sweep.finish(jobs[:2])
    sweep.train(jobs[3], "failed", "crashed")
    next((tmp_path / "evaluations").glob("*/*/record.json")).write_text("{")
    shutil.rmtree(next((tmp_path / "benchmarks").glob("*/*")))
    incremental = gather(tmp_path)
    found = problems(tmp_path)
    assert len(found) == 1
    shutil.rmtree(tmp_path / "tables")
    for name, table in gather(tmp_path).items():
        pd.testing.assert_frame_equal(table, incremental[name])
    assert problems(tmp_path) == found


def test_unchanged_records_are_not_opened_again(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    first = gather(tmp_path)
    path = jobs[0].folder(tmp_path) / "record.json"
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)  # unreadable, but of equal size and time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    pd.testing.assert_frame_equal(gather(tmp_path)["runs"], first["runs"])


def test_a_damaged_cache_costs_only_time(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))))
    first = gather(tmp_path)
    for path in (tmp_path / "tables" / ".cache").iterdir():
        path.write_bytes(b"PAR1 no")
    for name, table in gather(tmp_path).items():
        pd.testing.assert_frame_equal(table, first[name])
