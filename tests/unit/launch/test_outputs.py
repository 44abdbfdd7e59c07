"""OUT is refused where it belongs to something else, and nothing in it is touched."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launch.commands.clean import CLEAN_APP
from launch.commands.outputs import check_out, read_sweep, write_sweep
from launch.commands.report import REPORT_APP
from launch.commands.sweep import SWEEP_APP
from launch.commands.train import TRAIN_APP
from launch.config.app import run_app
from rdc.errors import ConfigError
from rdc.jobs.layout import SWEEP_FILE
from rdc.specs.recipe import Recipe
from rdc.system.files import read_json, write_json_atomically
from sweeps.grid import Grid
from sweeps.outputs import Outputs
from sweeps.plan import make_plan
from sweeps.plan_file import PLAN_FILE, write_plan


def plan(name: str = "one", seeds: tuple[int, ...] = (0, 1)):
    grid = {
        "name": name,
        "base": {"architecture": "rdc_g"},
        "blocks": [{"product": {"train.seed": list(seeds)}}],
    }
    train = {"lmbda": 0.0125, **Recipe().to_dict()}
    return make_plan(Grid.from_dict(grid), train, "data")


def started(out, made) -> None:
    write_plan(out, made)
    (out / "runs").mkdir()
    write_sweep(Outputs(out), made, {"stages": ["plan"]}, hardware={}, datasets={})


def test_new_empty_and_own_folders_are_fine(tmp_path):
    check_out(tmp_path / "new", plan())
    check_out(tmp_path, plan())
    started(tmp_path, plan())
    check_out(tmp_path, plan())


def test_a_grid_may_grow_but_not_change(tmp_path):
    started(tmp_path, plan(seeds=(0, 1)))
    check_out(tmp_path, plan(seeds=(0, 1, 2)))
    with pytest.raises(ConfigError, match="1 runs of other architectures"):
        check_out(tmp_path, plan(seeds=(0, 2)))


def test_another_grid_is_named(tmp_path):
    started(tmp_path, plan("one"))
    with pytest.raises(ConfigError, match=r"belongs to grid two; got grid one"):
        check_out(tmp_path, plan("two"))


def test_a_plan_without_work_binds_nobody(tmp_path):
    write_plan(tmp_path, plan("one"))
    check_out(tmp_path, plan("two"))


def test_folders_of_other_things_are_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ConfigError, match=r"holiday\.jpg"):
        check_out(tmp_path, plan())
    with pytest.raises(ConfigError, match="out is a folder"):
        check_out(tmp_path / "holiday.jpg", plan())


def test_the_first_start_stays_on_record_and_damage_is_set_aside(tmp_path):
    started(tmp_path, plan())
    first = read_sweep(tmp_path)
    write_sweep(Outputs(tmp_path), plan(), {"stages": []}, hardware={}, datasets={})
    assert read_sweep(tmp_path)["created_at"] == first["created_at"]
    (tmp_path / SWEEP_FILE).write_text("{")
    check_out(tmp_path, plan())
    write_sweep(Outputs(tmp_path), plan(), {"stages": []}, hardware={}, datasets={})
    assert read_sweep(tmp_path)["grid"] == "one"
    assert (tmp_path / "sweep.1.damaged.json").exists()


def version_1(out) -> None:
    """OUT as a sweep left it before a training had several rates."""
    sweep = {"schema_version": 1, "grid": "rdc_smoke", "config": {}, "stages": []}
    write_json_atomically(out / SWEEP_FILE, sweep)
    row = {"run_id": "0" * 16, "train_json": "{}", "lmbda": 0.0125}
    pq.write_table(pa.Table.from_pylist([row]), out / PLAN_FILE)
    (out / "runs/00" / ("0" * 16)).mkdir(parents=True)


APPS = [
    (SWEEP_APP, ["+grid=rdc_smoke"]),
    (SWEEP_APP, ["+grid=rdc_smoke", "plan_only=true", "stages=[train]"]),
    (TRAIN_APP, ["architecture=rdc_g", "train=smoke"]),
    (REPORT_APP, []),
    (CLEAN_APP, []),
    (CLEAN_APP, ["apply=true"]),
]


def refused_untouched(app, arguments, out, capsys) -> str:
    """The one line of its refusal."""
    before = {p: p.stat().st_mtime_ns for p in [out, *out.rglob("*")]}
    assert run_app(app, [*arguments, f"out={out}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert {p: p.stat().st_mtime_ns for p in [out, *out.rglob("*")]} == before
    return error


@pytest.mark.parametrize(("app", "arguments"), APPS)
def test_an_out_of_a_newer_version_is_refused_before_anything_is_written(
    app, arguments, tmp_path, capsys
):
    started(tmp_path, plan("rdc_smoke"))
    sweep = read_json(tmp_path / SWEEP_FILE)
    write_json_atomically(tmp_path / SWEEP_FILE, sweep | {"schema_version": 3})
    error = refused_untouched(app, arguments, tmp_path, capsys)
    assert "of version 2 of" in error
    assert "got version 3 in" in error
    assert "newer program" in error


def test_a_sweep_starts_anew_where_version_1_was_and_says_so(tmp_path, capsys):
    version_1(tmp_path)
    command = ["+grid=rdc_smoke", "plan_only=true", f"out={tmp_path}"]
    assert run_app(SWEEP_APP, command) == 0
    assert "was of version 1" in capsys.readouterr().out
    assert read_json(tmp_path / "version_1" / SWEEP_FILE)["schema_version"] == 1
    assert (tmp_path / "version_1/runs/00" / ("0" * 16)).is_dir()
    assert run_app(SWEEP_APP, command) == 0  # its own folder by now
    assert "version 1" not in capsys.readouterr().out


def test_a_sweep_of_version_1_is_not_set_aside_for_another_grid(tmp_path, capsys):
    version_1(tmp_path)
    error = refused_untouched(SWEEP_APP, ["+grid=rdc_mini"], tmp_path, capsys)
    assert "belongs to grid rdc_mini; got grid rdc_smoke" in error


@pytest.mark.parametrize(
    ("app", "arguments", "with_sweep_file"),
    [
        *((*app, False) for app in APPS),  # its plan tells as well
        *((*app, True) for app in APPS if app[0] is not SWEEP_APP),
    ],
)
def test_an_out_of_version_1_is_refused_before_anything_is_written(
    app, arguments, with_sweep_file, tmp_path, capsys
):
    version_1(tmp_path)
    if not with_sweep_file:
        (tmp_path / SWEEP_FILE).unlink()
    error = refused_untouched(app, arguments, tmp_path, capsys)
    assert "version" in error
    assert "hoose another out=DIR" in error
    if with_sweep_file:
        assert "version 1 in" in error


def test_models_of_other_numerics_are_not_taken_for_other_options(tmp_path):
    started(tmp_path, plan())
    sweep = read_json(tmp_path / SWEEP_FILE)
    write_json_atomically(tmp_path / SWEEP_FILE, sweep | {"numerics_version": 2})
    with pytest.raises(ConfigError, match=r"numerics version 3; got version 2: .*out="):
        check_out(tmp_path, plan())
