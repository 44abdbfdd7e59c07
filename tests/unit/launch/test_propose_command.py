"""`launch/sweep.py ... propose=N` on a sweep of which a part is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.commands.sweep import SWEEP_APP, Sweep, prepare
from launch.config.app import run_app
from sweeps.plan_file import write_plan
from tests.unit.analysis.builder import SweepOutput
from tests.unit.launch.calls import called

GRID = "+grid=rdc_mini"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Of rdc_mini: all but three of conv and elic are measured, at the first rate."""
    out = tmp_path_factory.mktemp("mini") / "out"
    sweep = prepare(called(GRID, f"out={out}"))
    records = SweepOutput(out, dataset=sweep.eval_set.name)
    out.mkdir()
    write_plan(out, sweep.plan)
    known = [
        r for r in sweep.plan.runs if r.model.architecture.transform.name != "swint"
    ]
    for run in known[:-3]:
        records.train(run.job)
        psnr_db = 24 + 3 * run.cost.kflops_per_px**0.3
        records.evaluate(run.job, psnr_db=psnr_db)
    return sweep


def test_a_proposal_is_told_written_and_can_be_trained(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    out = sweep.out
    assert run_app(SWEEP_APP, [GRID, f"out={out}", "propose=2"]) == 0
    told = capsys.readouterr().out
    proposal = json.loads((out / "proposal.json").read_text())
    assert len(proposal["proposals"]) == 2
    untrained = {r.arch_id for r in sweep.plan.runs if not _is_trained(sweep, r.run_id)}
    arch_ids = {row["arch_id"] for row in proposal["proposals"]}
    assert arch_ids < untrained
    for row in proposal["proposals"]:
        assert row["arch_id"][:8] in told
        (rate,) = row["rates"]
        assert rate["rd_loss_low"] < rate["rd_loss"] < rate["rd_loss_high"]
        assert row["decode_ms"] is None
    assert proposal["command"] in told.replace("\n", "")
    assert not list(out.glob("runs/*/*/attempts"))

    *_, only = proposal["command"].split("'")[:-1]
    narrowed = prepare(called(GRID, f"out={out}", only))
    assert {run.arch_id for run in narrowed.chosen.runs} == arch_ids
    trained = {t.job_id for t in narrowed.tasks() if t.job.stage == "train"}
    assert trained == {run.run_id for run in narrowed.chosen.runs}
    assert len(narrowed.plan.runs) == len(sweep.plan.runs)  # OUT stays that of the grid


def test_decode_times_are_predicted_and_may_be_the_cost(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [r for r in sweep.plan.runs if _is_trained(sweep, r.run_id)]
    for run in known:
        SweepOutput(sweep.out).benchmark(run.job, trained=False)
    options = ["propose=1", "objectives=[decode_ms,rd_loss]"]
    assert run_app(SWEEP_APP, [GRID, f"out={sweep.out}", *options]) == 0
    assert "a family unseen are off by" in capsys.readouterr().out
    proposal = json.loads((sweep.out / "proposal.json").read_text())
    (row,) = proposal["proposals"]
    assert row["decode_ms_low"] < row["decode_ms"] < row["decode_ms_high"]
    families = {row["family"] for row in proposal["decode_times_left_out"]}
    assert families == {run.model.architecture.family for run in known}


def test_a_new_sweep_learns_from_another(sweep: Sweep, tmp_path: Path) -> None:
    options = [GRID, f"out={tmp_path / 'new'}", "propose=1"]
    assert run_app(SWEEP_APP, options) == 2  # nothing is known
    assert run_app(SWEEP_APP, [*options, f"learn_from=[{sweep.out}]"]) == 0
    assert (tmp_path / "new/proposal.json").exists()
    prepare(called(GRID, f"out={tmp_path / 'new'}"))  # which may start there


def _is_trained(sweep: Sweep, run_id: str) -> bool:
    return (sweep.out / "runs" / run_id[:2] / run_id / "record.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["propose=0"], "propose is at least 1; got 0"),
        (["learn_from=[out]"], "Add propose=N"),
        (["propose=1", "objectives=[psnr_db,rd_loss]"], "one cost of params_total"),
        (["propose=1", "learn_from=[/nonexistent]"], "is the folder of a sweep"),
        (["only=[0123456789]"], "names runs or architectures of grid rdc_mini"),
        (["only=[ab]"], "six digits of an id; got 'ab'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(SWEEP_APP, [GRID, f"out={tmp_path / 'out'}", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
