"""The files of `conf/` agree with the code, and typing errors are explained."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launch.commands.benchmark import BENCHMARK_APP
from launch.commands.data import DATA_APP
from launch.commands.report import REPORT_APP
from launch.commands.submit import SUBMIT_APP, entrypoint, stage_code
from launch.commands.sweep import SWEEP_APP, Sweep, prepare
from launch.commands.train import TRAIN_APP
from launch.config.app import CONFIG_DIR, App, run_app
from rdc.errors import ConfigError
from rdc.specs.training import BenchmarkSpec, TrainSpec
from sweeps.policy import Limits

LAUNCH = CONFIG_DIR.parent / "launch"
APPS = {
    "sweep": SWEEP_APP,
    "train": TRAIN_APP,
    "benchmark": BENCHMARK_APP,
    "report": REPORT_APP,
    "submit": SUBMIT_APP,
    "data": DATA_APP,
}
GRIDS = sorted(path.stem for path in (CONFIG_DIR / "grid").glob("*.yaml"))


def configured(*arguments: str, app: App = SWEEP_APP) -> dict:
    seen = []
    app = App(app.config_name, lambda c: seen.append(c) or 0, "", (), app.groups)
    assert run_app(app, arguments) == 0
    return seen[0]


def prepared(*arguments: str) -> Sweep:
    seen = []
    app = App("sweep", lambda c: seen.append(prepare(c)) or 0, "", (), ("grid",))
    assert run_app(app, arguments) == 0
    return seen[0]


def test_files_with_all_values_agree_with_the_specs():
    study = yaml.safe_load((CONFIG_DIR / "train/study.yaml").read_text())
    # Recipes of before there was `warmup_share` had none: that is its default.
    assert study.pop("warmup_share") > 0
    assert study | {"warmup_share": 0.0} == TrainSpec().to_dict()
    limits = yaml.safe_load((CONFIG_DIR / "limits/default.yaml").read_text())
    assert limits == Limits().to_dict()
    kodak = yaml.safe_load((CONFIG_DIR / "benchmark/kodak_size.yaml").read_text())
    assert kodak.pop("weights") == "trained"
    assert kodak == BenchmarkSpec().to_dict()


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_plans_as_it_expects(grid, tmp_path):
    sweep = prepared(f"+grid={grid}", f"out={tmp_path}", "stages=[plan,train]")
    assert sweep.config["grid"]["expect"]["jobs"] == len(sweep.plan.runs)


def test_rdc_mini_covers_the_four_families_with_real_spread(tmp_path):
    sweep = prepared("+grid=rdc_mini", f"out={tmp_path}")
    families = {run.job.architecture.family for run in sweep.plan.runs}
    assert len(families) == 4
    costs = [run.cost["kflops_per_px"] for run in sweep.plan.runs]
    assert len(costs) >= 12
    assert max(costs) / min(costs) > 5


def test_a_grid_chooses_its_recipe_and_the_command_line_wins():
    mini = configured("train=mini")["train"]
    smoke = configured("train=smoke")["train"]
    assert configured("+grid=rdc_mini")["train"] == mini != smoke
    config = configured("+grid=rdc_mini", "train=smoke", "train.steps=7")
    assert config["train"] == {**smoke, "steps": 7}


def test_options_of_one_s_own_work_in_grids(tmp_path):
    mine = tmp_path / "conf"
    (mine / "grid").mkdir(parents=True)
    (mine / "transform").mkdir()
    (mine / "transform" / "thin.yaml").write_text("name: elic\nchannels: [8, 8, 8]\n")
    (mine / "grid" / "mine.yaml").write_text(
        "name: mine\nblocks:\n- base: {transform: thin, entropy_model: factorized}\n"
    )
    plans = []
    app = App("sweep", lambda c: plans.append(prepare(c).plan) or 0, "", (), ("grid",))
    arguments = ["+grid=mine", f"out={tmp_path / 'out'}", "--config-dir", str(mine)]
    assert run_app(app, arguments) == 0
    assert plans[0].runs[0].job.architecture.transform.channels == (8, 8, 8)


@pytest.mark.parametrize(
    ("app", "arguments", "message"),
    [
        ("sweep", [], "a sweep has a grid; got none. Add +grid=NAME"),
        ("sweep", ["+grid=rdc_minni"], "Did you mean rdc_mini"),
        ("sweep", ["grid=rdc_mini"], "Write +grid=rdc_mini"),
        ("sweep", ["+grid=rdc_mini", "grid.constraints={}"], "Write +grid.constraints"),
        ("sweep", ["+grid=rdc_mini", "trian=mini"], "Did you mean train"),
        ("sweep", ["+grid=rdc_mini", "train=nope"], "Known: light, mini, short, smoke"),
        ("sweep", ["+grid=rdc_mini", "train.stps=1"], "Did you mean steps"),
        ("sweep", ["+grid=rdc_mini", "+train.stps=1"], "Did you mean steps"),
        ("sweep", ["+grid=rdc_mini", "train.steps=0"], "train.steps is at least 1"),
        ("sweep", ["+grid=rdc_mini", "train.steps=x"], "train.steps"),
        ("sweep", ["+grid=rdc_mini", "train.steps"], "written key=value"),
        ("sweep", ["+grid=rdc_mini", "stages=[plan"], "written key=value"),
        ("sweep", ["+grid=rdc_mini", "stages=plan"], "stages is a list"),
        ("sweep", ["+grid=rdc_mini", "stages=[paln]"], "a stage is one of"),
        ("sweep", ["+grid=rdc_mini", "launcher=slurm"], "launcher is one of"),
        ("sweep", ["+grid=rdc_mini", "plan_only=perhaps"], "true or false"),
        ("sweep", ["+grid=rdc_mini", "grid.expect.jobs=9"], "grid.expect.jobs = 9"),
        ("sweep", ["+grid=rdc_mini", "budget.hours=-1"], "budget.hours is positive"),
        ("sweep", ["+grid=rdc_mini", "data.train=/no/such"], "/no/such"),
        ("sweep", ["+grid=rdc_mini", "train=mini,short"], "one configuration"),
        ("sweep", ["+grid=rdc_mini", "out=${nope}"], "nope"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.cpus=0"], "cpus is at least 1"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.cpu=1"], "Did you mean cpus"),
        ("sweep", ["+grid=rdc_mini", "benchmark.weights=x"], "trained or random"),
        ("sweep", ["+grid=rdc_mini", "checkpoint.every_seconds=-1"], "at least 0"),
        ("sweep", ["+grid=rdc_mini", "checkpoint.every_steps=30"], "multiple of 20"),
        ("train", ["architecture=rdc_g", "checkpoint.keep=0"], "at least 1"),
        ("sweep", ["--config-dir", "/no/such", "+grid=x"], "--config-dir"),
        ("train", [], "add architecture=NAME"),
        ("train", ["architecture=rdc_z"], "rdc_z"),
        ("train", ["transform=conv"], "has a entropy_model"),
        ("benchmark", ["architecture=rdc_g", "benchmark.repeats=0"], "repeats"),
        ("report", [], "out has a value"),
        ("report", ["out=/no/such"], "folder of a sweep"),
        ("data", ["fetch=imagenet"], "fetch is kodak"),
        ("submit", ["+grid=rdc_mini"], "cluster.address=HOST:PORT"),
        (
            "submit",
            ["+grid=rdc_mini", "cluster.address=127.0.0.1:1"],
            "the Ray cluster answers",
        ),
    ],
)
def test_bad_input_gives_one_clear_message(
    app, arguments, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert run_app(APPS[app], arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message.lower() in error.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", sorted(APPS))
def test_help_and_cfg_work_from_any_folder(command, tmp_path):
    script = str(LAUNCH / f"{command}.py")
    for option, expected in (("--help", "Examples:"), ("--cfg", ":")):
        arguments = [option] if option == "--help" else [option, "job"]
        done = subprocess.run(
            [sys.executable, script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert expected in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_swept_option_cannot_be_overridden_in_silence(tmp_path):
    config = configured("+grid=rdc_mini", "+transform=elic", f"out={tmp_path}")
    with pytest.raises(ConfigError, match="transform comes from grid rdc_mini"):
        prepare(config)


def test_a_submitted_job_gets_the_same_options_with_absolute_paths(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    config = configured(
        "+grid=rdc_mini", "data.train=my images", "train.steps=5", "cluster=example"
    )
    command = entrypoint(config)
    assert command.startswith("/opt/rdc/bin/python launch/sweep.py +grid=rdc_mini")
    assert "train.steps=5" in command
    assert f"data.train='\"'\"'{tmp_path}/my images" in command
    assert "cluster=example" not in command


def test_the_code_of_a_job_is_small_and_whole(tmp_path):
    folder = stage_code(tmp_path / "code")
    names = {path.name for path in folder.iterdir()}
    assert names == {"analysis", "conf", "launch", "rdc", "sweeps", "pyproject.toml"}
    assert not list(folder.rglob("__pycache__"))
    assert Path(folder / "launch" / "sweep.py").exists()
