"""`plan.parquet` holds the plan, with and without costs."""

import json

import pytest

from rdc.errors import StorageError
from rdc.registry import parse_architecture
from rdc.specs.training import TrainSpec
from sweeps.grid import Grid
from sweeps.plan import (
    PLAN_FILE,
    components_json,
    known_costs,
    make_plan,
    read_plan,
    runs_of,
    with_costs,
    write_plan,
)

GRID = Grid.from_dict(
    {"name": "g", "blocks": [{"product": {"architecture": ["rdc_b", "rdc_g"]}}]}
)
COST = {
    "params_total": 3,
    "params_decoder": 2,
    "kmacs_per_px": 1.5,
    "kflops_per_px": 3.0,
    "kmacs_per_px_encode": 2.0,
    "decoder_peak_bytes_per_px": 100.0,
    "components_json": components_json(
        [
            {"side": side, "component": name, "params": 1, "macs_per_px": macs}
            for side, name, macs in (
                ("encode", "analysis_transform", 2000.0),
                ("encode", "hyper_synthesis", 500.0),
                ("decode", "hyper_synthesis", 500.0),  # trained once
                ("decode", "synthesis_transform", 1000.0),
            )
        ]
    ),
}


@pytest.fixture
def plan():
    return make_plan(GRID, TrainSpec().to_dict(), "data")


def test_rows_say_what_each_run_is(tmp_path, plan):
    write_plan(tmp_path, plan)
    rows = read_plan(tmp_path)
    assert [row["run_id"] for row in rows] == [run.run_id for run in plan.runs]
    assert rows[0]["family"] == "elic/charm:swin"
    assert rows[0]["kflops_per_px"] is None
    for row, run in zip(rows, plan.runs, strict=True):
        config = json.loads(row["config_json"])
        assert parse_architecture(config) == run.job.architecture
        assert TrainSpec.from_dict(json.loads(row["train_json"])) == run.job.train


def test_costs_survive_and_runs_come_back(tmp_path, plan):
    priced = with_costs(plan, {plan.runs[0].arch_id: COST})
    write_plan(tmp_path, priced)
    rows = read_plan(tmp_path)
    assert known_costs(rows) == {plan.runs[0].arch_id: COST}
    assert runs_of(rows) == list(priced.runs)


def test_training_flops_count_three_forward_passes(plan):
    run = with_costs(plan, {plan.runs[0].arch_id: COST}).runs[0]
    pixels = 2_000_000 * 32 * 256 * 256
    assert run.training_flops() == pytest.approx(3 * 2 * 3500 * pixels)
    assert plan.runs[0].training_flops() is None


def test_no_plan_and_a_damaged_one(tmp_path):
    assert read_plan(tmp_path) == []
    (tmp_path / PLAN_FILE).write_bytes(b"PAR1 cut")
    with pytest.raises(StorageError, match="parquet"):
        read_plan(tmp_path)
