"""OUT is refused where it belongs to something else, and nothing in it is touched."""

import pytest

from launch.commands.outputs import SWEEP_FILE, check_out, read_sweep, write_sweep
from rdc.errors import ConfigError
from rdc.specs.training import TrainSpec
from sweeps.grid import Grid
from sweeps.plan import make_plan, write_plan


def plan(name: str = "one", seeds: tuple[int, ...] = (0, 1)):
    grid = {
        "name": name,
        "base": {"architecture": "rdc_g"},
        "blocks": [{"product": {"train.seed": list(seeds)}}],
    }
    return make_plan(Grid.from_dict(grid), TrainSpec().to_dict(), "data")


def started(out, made) -> None:
    write_plan(out, made)
    (out / "runs").mkdir()
    write_sweep(out, made, {"stages": ["plan"]}, hardware={}, datasets={})


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
    write_sweep(tmp_path, plan(), {"stages": []}, hardware={}, datasets={})
    assert read_sweep(tmp_path)["created_at"] == first["created_at"]
    (tmp_path / SWEEP_FILE).write_text("{")
    check_out(tmp_path, plan())
    write_sweep(tmp_path, plan(), {"stages": []}, hardware={}, datasets={})
    assert read_sweep(tmp_path)["grid"] == "one"
    assert (tmp_path / "sweep.1.damaged.json").exists()
