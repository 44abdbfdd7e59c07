from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.gather import gather
from analysis.notices import elsewhere, problems
from analysis.tables import SCHEMA_VERSION, TABLES, columns, fields, read_tables
from rdc.errors import ConfigError, DataError
from rdc.jobs.records import CodecResult, EvaluateResult, TrainingSummary
from rdc.measurements.metrics import METRIC_NAMES
from rdc.measurements.rows import DecodeTime, ImageMeasurement
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.builder import SweepOutput
from tests.unit.analysis.invented import HARDWARE, architectures, write_plan

CPU, GPU = HARDWARE


def states(out: Path) -> dict[str, int]:
    return gather(out)["runs"]["status"].value_counts().to_dict()


def test_tables_have_the_columns_of_the_contract(mixed_sweep: Path) -> None:
    tables = read_tables(mixed_sweep)
    assert set(tables) == set(TABLES)
    for name in TABLES:
        known = list(columns(name))
        assert list(tables[name])[: len(known)] == known
        assert (tables[name]["schema_version"] == SCHEMA_VERSION).all()
        path = mixed_sweep / "tables" / f"{name}.parquet"
        pd.testing.assert_frame_equal(pd.read_parquet(path), tables[name])
    contract = {
        "architectures": "arch_id name family transform entropy_model hyper_transform "
        "config_json params_total params_decoder kmacs_per_px kflops_per_px "
        "kmacs_per_px_encode",
        "complexity": "arch_id side component params macs_per_px",
        "runs": "run_id arch_id status error steps batch_size crop_px seed "
        "train_seconds steps_per_second attempts git_sha jax_version hardware_id",
        "points": "run_id rate lmbda curve_id",
        "rate_distortion": "run_id rate coder numerics effort dataset image height_px "
        "width_px bpp_estimated bpp_coded psnr_db ms_ssim mse_255",
        "codecs": "codec_id setting dataset image height_px width_px bpp_estimated "
        "bpp_coded psnr_db ms_ssim mse_255 encode_ms decode_ms",
        "decode_times": "arch_id run_id hardware_id coder numerics dataset height_px "
        "width_px precision stage repeat decode_ms",
        "hardware": "hardware_id device_kind platform device_count driver jax_version "
        "host_cpu clock_note",
        "frontier": "family name lmbda kflops_per_px params_total bpp psnr_db rd_loss "
        "decode_ms mpx_per_s on_frontier frontier_objectives",
        "curves": "curve_id run_id points bd_rate_percent anchor interpolation "
        "range_low_db range_high_db overlap_points reason",
    }
    for name, known in contract.items():
        assert set(known.split()) <= set(tables[name])


def test_fields_of_results_are_columns() -> None:
    """A field that is added to a result needs no change here to be in the tables."""
    for kind, table in (
        (TrainingSummary, "runs"),
        (EvaluateResult, "rate_distortion"),
        (CodecResult, "codecs"),
        (ImageMeasurement, "codecs"),
        (DecodeTime, "decode_times"),
    ):
        assert fields(kind).items() <= columns(table).items()
        assert fields(kind)
    assert set(METRIC_NAMES) <= set(columns("rate_distortion"))
    assert set(METRIC_NAMES) <= set(columns("codecs")) & set(columns("frontier"))


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
    record["result"]["summary"]["loss_last"] = "low"
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
    losses = own["bpp_coded"] + 0.0125 * own["mse_255"]
    assert rows["rd_loss"][run_id] == pytest.approx(losses.mean())
    assert rows["encode_ms"][run_id] == 20
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


def test_jobs_that_ran_elsewhere_are_named(tmp_path: Path) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    gather(tmp_path)
    assert elsewhere(tmp_path) == []
    path = sweep.benchmark(jobs[0], GPU, planned_hardware_id=CPU)
    tables = gather(tmp_path)
    assert elsewhere(tmp_path) == [
        {
            "record": str(path.relative_to(tmp_path)),
            "planned_hardware_id": CPU,
            "hardware_id": GPU,
        }
    ]
    assert set(tables["decode_times"]["hardware_id"]) == {CPU, GPU}


def test_an_unknown_objective_is_refused(tmp_path: Path) -> None:
    SweepOutput(tmp_path).plan(architectures((32,)))
    with pytest.raises(
        ConfigError, match=r"unknown measure; got 'psnr'\. Did you mean psnr_db"
    ):
        gather(tmp_path, ("kflops_per_px", "psnr"))


@pytest.mark.parametrize("without_sweep_json", [False, True])
def test_an_output_of_another_version_is_refused_in_words(
    tmp_path: Path, without_sweep_json: bool
) -> None:
    sweep = SweepOutput(tmp_path)
    sweep.finish(sweep.plan(architectures((32,))))
    if without_sweep_json:
        (tmp_path / "sweep.json").unlink()
        plan = [row.to_dict() for row in sweep.rows]
        write_plan(tmp_path, [{"lmbda": r.pop("rates")[0], **r} for r in plan])
    else:
        value = read_json(tmp_path / "sweep.json") | {"schema_version": 1}
        write_json_atomically(tmp_path / "sweep.json", value)
    with pytest.raises(DataError, match=r"of version 2; got .*another out=DIR"):
        gather(tmp_path)


def test_records_and_tables_of_another_version_are_refused_in_words(
    tmp_path: Path,
) -> None:
    sweep = SweepOutput(tmp_path)
    jobs = sweep.plan(architectures((32,)))
    sweep.finish(jobs)
    path = jobs[0].folder(tmp_path) / "record.json"
    write_json_atomically(path, read_json(path) | {"schema_version": 1})
    gather(tmp_path)
    assert "schema version 1, not 2" in problems(tmp_path)[0]["problem"]
    table = tmp_path / "tables" / "points.parquet"
    pd.read_parquet(table).assign(schema_version=1).to_parquet(table)
    with pytest.raises(DataError, match=r"has schema version 2; got 1\..*report.py"):
        read_tables(tmp_path)


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
