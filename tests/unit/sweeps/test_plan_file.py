"""`plan.parquet` holds the plan, with and without costs."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdc.errors import ConfigError, StorageError
from rdc.jobs.layout import PLAN_FILE
from rdc.jobs.plan_row import Cost, PlanRow
from rdc.registry import parse_architecture
from rdc.specs.recipe import Recipe
from sweeps.grid import Grid
from sweeps.plan import Run, make_plan, with_costs
from sweeps.plan_file import known_costs, read_plan, write_plan

GRID = Grid.from_dict(
    {"name": "g", "blocks": [{"product": {"architecture": ["rdc_b", "rdc_g"]}}]}
)
COST = Cost(
    params_total=3,
    params_decoder=2,
    kmacs_per_px=1.5,
    kflops_per_px=3.0,
    kmacs_per_px_encode=2.0,
    decoder_peak_bytes_per_px=100.0,
    components_json=json.dumps(
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
)


@pytest.fixture
def plan():
    return make_plan(GRID, {"lmbda": 0.0125, **Recipe().to_dict()}, "data")


def test_rows_say_what_each_run_is(tmp_path, plan):
    write_plan(tmp_path, plan)
    rows = read_plan(tmp_path)
    assert rows == [run.row() for run in plan.runs]
    assert [row.run_id for row in rows] == [run.job.job_id for run in plan.runs]
    assert [row.curve_id for row in rows] == [run.model.curve_id for run in plan.runs]
    assert rows[0].family == "elic/charm:swin"
    assert rows[0].rates == (0.0125,)
    assert rows[0].kflops_per_px is None
    for row, run in zip(rows, plan.runs, strict=True):
        config = json.loads(row.config_json)
        assert parse_architecture(config) == run.model.architecture
        assert Recipe.from_dict(json.loads(row.recipe_json)) == run.model.recipe


def test_the_file_has_the_columns_of_a_plan_row_and_typed_rates(tmp_path, plan):
    schema = pq.read_schema(write_plan(tmp_path, plan))
    assert schema.names == [field.name for field in dataclasses.fields(PlanRow)]
    assert schema.field("rates").type == pa.list_(pa.float64())
    assert schema.field("params_total").type == pa.int64()
    assert schema.field("hyper_transform").type == pa.string()


def test_costs_survive_and_runs_come_back(tmp_path, plan):
    priced = with_costs(plan, {plan.runs[0].arch_id: COST})
    write_plan(tmp_path, priced)
    rows = read_plan(tmp_path)
    assert known_costs(rows) == {plan.runs[0].arch_id: COST}
    assert [Run.of_row(row) for row in rows] == list(priced.runs)


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


def test_a_plan_with_other_columns_is_refused_in_words(tmp_path):
    table = pa.Table.from_pylist([{"run_id": "0", "lmbda": 0.1}])
    pq.write_table(table, tmp_path / PLAN_FILE)
    with pytest.raises(ConfigError, match=r"columns of this version.*another out=DIR"):
        read_plan(tmp_path)
