"""The files of `conf/` agree with the code, and typing errors are explained."""

import dataclasses
import errno
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launch.commands.benchmark import BENCHMARK_APP
from launch.commands.clean import CLEAN_APP
from launch.commands.data import DATA_APP
from launch.commands.report import REPORT_APP
from launch.commands.status import STATUS_APP
from launch.commands.submit import SUBMIT_APP
from launch.commands.sweep import SWEEP_APP, Sweep, prepare
from launch.commands.train import TRAIN_APP, models
from launch.config.app import App, Call, run_app
from launch.config.composing import CONFIG_DIR, Composer
from launch.staging import stage_code
from rdc.architectures import NAMED
from rdc.errors import ConfigError, ExitCode
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from rdc.system.files import storage_error
from sweeps.policy import Limits
from sweeps.splitting import Splitting
from tests.unit.launch.calls import called

LAUNCH = CONFIG_DIR.parent / "launch"
APPS = {
    "sweep": SWEEP_APP,
    "train": TRAIN_APP,
    "benchmark": BENCHMARK_APP,
    "report": REPORT_APP,
    "submit": SUBMIT_APP,
    "data": DATA_APP,
    "clean": CLEAN_APP,
    "status": STATUS_APP,
}
GRIDS = sorted(path.stem for path in (CONFIG_DIR / "grid").glob("*.yaml"))


def configured(*arguments: str, app: App = SWEEP_APP) -> dict:
    return called(*arguments, app=app).values


def prepared(*arguments: str) -> Sweep:
    return prepare(called(*arguments))


def test_files_with_all_values_agree_with_the_specs():
    study = yaml.safe_load((CONFIG_DIR / "train/study.yaml").read_text())
    assert study.pop("lmbda") == 0.0125
    # Recipes without a warm-up are older than `warmup_share`: that is its default.
    assert study.pop("warmup_share") > 0
    assert study.pop("teacher") is None
    assert study | {"warmup_share": 0.0} == Recipe().to_dict()
    limits = yaml.safe_load((CONFIG_DIR / "limits/default.yaml").read_text())
    assert limits == Limits().to_dict()
    kodak = yaml.safe_load((CONFIG_DIR / "benchmark/kodak_size.yaml").read_text())
    assert kodak.pop("weights") == "trained"
    assert kodak.pop("estimates") == ["decoder"]
    assert kodak == BenchmarkSpec().to_dict()
    split = yaml.safe_load((CONFIG_DIR / "split/none.yaml").read_text())
    assert split == Splitting().to_dict()


@pytest.mark.parametrize("command", sorted(APPS))
def test_the_typed_configuration_has_the_keys_of_its_file(command):
    app = APPS[command]
    keys = {*Composer().compose(app.config_name), *app.groups}
    assert keys == {field.name for field in dataclasses.fields(app.spec)}


def test_a_sweep_without_models_has_codecs_to_fit(tmp_path):
    with pytest.raises(ConfigError, match="models to train, codecs to fit"):
        prepared("+grid=overfitted_kodak", f"out={tmp_path}", "overfitted.codecs=[]")


def test_the_plan_of_a_sweep_without_models_is_its_jobs(tmp_path, capsys):
    options = ("plan_only=true", "data.eval=bundled:eval", f"out={tmp_path}")
    assert run_app(SWEEP_APP, ["+grid=overfitted_kodak", *options]) == ExitCode.OK
    assert "jobs by stage: 3 codec, 6 overfit" in capsys.readouterr().out


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_plans_as_it_expects(grid, tmp_path, labelled):
    options = [f"out={tmp_path}", "stages=[plan,train]"]
    if grid.startswith("sc2"):
        options.append(f"split.photographs={labelled}")
    sweep = prepared(f"+grid={grid}", *options)
    assert sweep.config.grid.expect.jobs == len(sweep.plan.runs)


def test_rdc_mini_covers_five_families_with_real_spread(tmp_path):
    sweep = prepared("+grid=rdc_mini", f"out={tmp_path}")
    families = {run.model.architecture.family for run in sweep.plan.runs}
    assert len(families) == 5
    costs = [run.cost.kflops_per_px for run in sweep.plan.runs]
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
    sweep = prepared("+grid=mine", f"out={tmp_path}/out", "--config-dir", str(mine))
    assert sweep.plan.runs[0].model.architecture.transform.channels == (8, 8, 8)


def test_a_folder_of_one_s_own_comes_before_conf(tmp_path):
    mine = tmp_path / "its own 'conf'"
    (mine / "train").mkdir(parents=True)
    (mine / "train" / "smoke.yaml").write_text("defaults: [study]\nsteps: 77\n")
    options = ("--config-dir", str(mine))
    assert configured("train=smoke", *options)["train"]["steps"] == 77
    assert configured("train=mini", *options)["train"]["steps"] == 750
    assert called(*options).options("train", "smoke")["steps"] == 77


def test_options_are_those_of_files_and_of_the_registry(capsys):
    assert run_app(TRAIN_APP, ["--help"]) == 0
    text = capsys.readouterr().out
    assert f"  architecture: {', '.join(sorted(NAMED))}" in text
    assert "  transform: conv, elic, evc, one_scale, swint\n" in text
    recipes = "evc, evc_mini, light, mini, reference, short, smoke, study"
    assert f"  train: {recipes}\n" in text
    assert "lmbda, steps, batch_size" in text


def test_only_public_names_of_hydra_are_used():
    sources = [path.read_text() for path in LAUNCH.rglob("*.py")]
    assert not [text for text in sources if "hydra._" in text]


def test_the_warm_up_of_the_default_recipe_can_be_counted_in_steps():
    config = configured("+grid=rdc_mini", "train=study", "train.warmup_steps=100")
    [model] = models(NAMED["rdc_g"], config["train"], "data")
    assert model.recipe.warmup == 100


def test_several_rates_are_one_model_or_equal_ones_but_for_the_rate():
    train = configured("train=smoke", "train.lmbda=[0.01,0.02]")["train"]
    [whole] = models(NAMED["rdc_g"], train, "data")
    assert whole.rates == (0.01, 0.02)
    made = models(NAMED["rdc_g"], train, "data", one_per_rate=True)
    assert [model.rates for model in made] == [(0.01,), (0.02,)]
    assert len({model.curve_id for model in made}) == 1


@pytest.mark.parametrize(
    ("app", "arguments", "message"),
    [
        ("sweep", [], "a sweep has a grid; got none. Add +grid=NAME"),
        ("sweep", ["+grid=rdc_minni"], "Did you mean rdc_mini"),
        ("sweep", ["grid=rdc_mini"], "Write +grid=rdc_mini"),
        ("sweep", ["+grid=rdc_mini", "grid.constraints={}"], "Write +grid.constraints"),
        ("sweep", ["+grid=rdc_mini", "trian=mini"], "Did you mean train"),
        ("sweep", ["+grid=rdc_mini", "train=nope"], "Known: evc, evc_mini, light"),
        ("sweep", ["+grid=rdc_mini", "train.stps=1"], "Did you mean steps"),
        ("sweep", ["+grid=rdc_mini", "+train.stps=1"], "Did you mean steps"),
        ("sweep", ["+grid=rdc_mini", "train.steps=0"], "train.steps is at least 1"),
        ("sweep", ["+grid=rdc_mini", "train.steps=x"], "train.steps"),
        ("sweep", ["+grid=rdc_mini", "train.steps"], "written key=value"),
        ("sweep", ["+grid=rdc_mini", "stages=[plan"], "written key=value"),
        (
            "sweep",
            ["+grid=rdc_mini", "stages=plan"],
            "stages: input should be a valid list",
        ),
        (
            "sweep",
            ["+grid=rdc_mini", "stages=[paln]"],
            "should be 'plan', 'complexity'",
        ),
        (
            "sweep",
            ["+grid=rdc_mini", "launcher=slurm"],
            "launcher: input should be 'ray' or 'local'",
        ),
        (
            "sweep",
            ["+grid=rdc_mini", "plan_only=perhaps"],
            "plan_only: input should be a valid boolean",
        ),
        ("sweep", ["+grid=rdc_mini", "grid.expect.jobs=9"], "grid.expect.jobs = 9"),
        ("sweep", ["+grid=rdc_mini", "budget.hours=-1"], "budget.hours is positive"),
        ("sweep", ["+grid=rdc_mini", "budget.device_hours=0"], "is positive"),
        ("sweep", ["+grid=rdc_mini", "notify.webhook=file:///a"], "http or https"),
        ("status", [], "out has a value"),
        ("status", ["out=/no/such"], "folder of a sweep"),
        ("status", ["out=/no/such", "format=xml"], "'text' or 'json'"),
        ("sweep", ["+grid=rdc_mini", "data.train=/no/such"], "/no/such"),
        ("sweep", ["+grid=rdc_mini", "train=mini,short"], "one configuration"),
        ("sweep", ["+grid=rdc_mini", "out=${nope}"], "nope"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.cpus=0"], "cpus is at least 1"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.cpu=1"], "Did you mean cpus"),
        (
            "sweep",
            ["+grid=rdc_mini", "benchmark.weights=x"],
            "benchmark.weights: input should be 'trained' or",
        ),
        ("sweep", ["+grid=rdc_mini", "checkpoint.every_seconds=-1"], "at least 0"),
        ("sweep", ["+grid=rdc_mini", "checkpoint.every_steps=30"], "multiple of 20"),
        ("train", ["architecture=rdc_g", "checkpoint.keep=0"], "at least 1"),
        ("sweep", ["--config-dir", "/no/such", "+grid=x"], "--config-dir"),
        ("sweep", ["+grid=rdc_mini", "+colour=red"], "unknown option; got 'colour'"),
        ("sweep", ["+grid=rdc_mini", "codecs=[jpg]"], "did you mean jpeg"),
        ("sweep", ["+grid=rdc_mini", "codec.effort=4"], "codec.effort"),
        ("sweep", ["+grid=rdc_mini", "codec.numerics=x"], "codec.numerics: input"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.gpus=1.5"], "a share of one"),
        (
            "sweep",
            ["+grid=rdc_mini", "hardware.train.device=H100 80GB"],
            "a kind of accelerator",
        ),
        ("sweep", ["+grid=rdc_mini", "hardware.train.custom={a: 0}"], "a is positive"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.hosts=0"], "hosts is at least 1"),
        ("sweep", ["+grid=rdc_mini", "hardware.evaluate.hosts=2"], "hosts"),
        ("sweep", ["+grid=rdc_mini", "hardware.train.slice=v4-15"], "as v4-16; got"),
        (
            "sweep",
            ["+grid=rdc_mini", "hardware.train.hosts=2", "hardware.train.slice=v4-16"],
            "follow from hardware.train.slice; got hosts beside it",
        ),
        (
            "sweep",
            ["+grid=rdc_mini", "hardware.train.hosts=2", "hardware.train.gpus=0.5"],
            "gpus is a whole number; got 0.5",
        ),
        ("sweep", ["+grid=rdc_mini", "hardware.evaluate.memory_gb=-1"], "positive"),
        (
            "sweep",
            [
                "+grid=rdc_mini",
                "hardware.benchmark.device=L4",
                "hardware.benchmark.devices=[H100]",
            ],
            "a device or devices; got L4 and",
        ),
        (
            "sweep",
            ["+grid=rdc_mini", "hardware.benchmark.devices=[H100, H100]"],
            "devices are different; got H100, H100",
        ),
        ("sweep", ["+grid=rdc_mini", "cluster.autoscales=true"], "add cluster.address"),
        (
            "benchmark",
            ["architecture=rdc_g", "hardware.benchmark.devices=[H100]"],
            "times this machine; got devices",
        ),
        ("sweep", ["+grid=rdc_mini", "models_together=0"], "at least 1"),
        ("sweep", ["+grid=rdc_mini", "train.lmbda=[0.2,0.1]"], "ascending"),
        ("train", ["architecture=rdc_g", "train.lmbda=[]"], "different positive"),
        ("train", ["architecture=rdc_g", "train.lmbda=[1,1]"], "different positive"),
        ("train", ["architecture=rdc_g", "train.lmbda=[a]"], "train.lmbda.0: input"),
        ("train", ["architecture=rdc_g", "evaluate=2"], "evaluate: input should be"),
        ("train", [], "add architecture=NAME"),
        ("train", ["architecture=rdc_z"], "rdc_z"),
        ("train", ["transform=conv"], "has a entropy_model"),
        ("benchmark", ["architecture=rdc_g", "benchmark.repeats=0"], "repeats"),
        ("report", [], "out has a value"),
        ("report", ["out=/no/such"], "folder of a sweep"),
        ("data", ["fetch=imagenet"], "fetch: input should be 'kodak'"),
        ("data", [], "fetch has a value"),
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


def test_a_full_disk_has_an_exit_code_of_its_own(capsys):
    def full(call: Call) -> int:
        raise storage_error(OSError(errno.ENOSPC, "full"), Path("out/plan.parquet"))

    app = dataclasses.replace(SWEEP_APP, function=full)
    assert run_app(app, ["+grid=rdc_mini"]) == ExitCode.DISK_FULL == 12
    assert "Free some space" in capsys.readouterr().err
    assert "12 disk full" in SWEEP_APP.summary


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
    call = called("+grid=rdc_mini", "train.steps=7", f"out={tmp_path}")
    grid = dataclasses.replace(call.config.grid, base={"train.steps": 3})
    call = dataclasses.replace(call, config=dataclasses.replace(call.config, grid=grid))
    with pytest.raises(ConfigError, match="steps comes from grid rdc_mini"):
        prepare(call)


def test_the_code_of_a_job_is_small_and_whole(tmp_path):
    folder = stage_code(tmp_path / "code")
    names = {path.name for path in folder.iterdir()}
    assert names == {"COMMIT", "analysis", "conf", "launch", "rdc", "sweeps"}
    assert not list(folder.rglob("__pycache__"))
    assert Path(folder / "launch" / "sweep.py").exists()


def test_own_options_go_along_with_the_code(tmp_path):
    grid = tmp_path / "mine" / "grid" / "mine.yaml"
    grid.parent.mkdir(parents=True)
    grid.write_text("name: mine\n")
    folder = stage_code(tmp_path / "code", tmp_path / "mine")
    assert (folder / "own_options" / "grid" / "mine.yaml").read_text() == "name: mine\n"


def test_resources_are_asked_for_by_stage(tmp_path):
    sweep = prepared(
        "+grid=rdc_mini",
        f"out={tmp_path}",
        "hardware.train.memory_gb=6",
        "hardware.train.custom={licence: 1}",
        "hardware.evaluate.device='zone=a'",
        "hardware.benchmark.devices=[H100,'zone=b']",
    )
    tasks = sweep.tasks()
    asked = {task.job.stage: task.resources for task in tasks}
    train = asked["train"]
    assert (train.memory_gb, train.custom) == (6.0, (("licence", 1.0),))
    assert (asked["evaluate"].device, asked["codec"].device) == ("zone=a", "zone=a")
    timed = [task for task in tasks if task.job.stage == "benchmark"]
    assert {task.resources.device for task in timed} == {"H100", "zone=b"}
    assert len(timed) == 2 * len(sweep.plan.runs)
    assert all(task.resources.exclusive for task in timed)


def test_each_device_gets_the_gpus_that_its_machines_have(tmp_path):
    options = ("hardware.benchmark.devices=[H100,'zone=b']", "stages=[plan,benchmark]")
    sweep = prepared("+grid=rdc_mini", f"out={tmp_path}", *options)
    devices = {
        "H100": {"hardware_id": "aa", "platform": "gpu"},
        "zone=b": {"hardware_id": "bb", "platform": "cpu"},
    }
    tasks = sweep.tasks({"hardware_id": "cc", "platform": "cpu"}, devices)
    given = {(t.job.hardware_id, t.resources.device, t.resources.gpus) for t in tasks}
    assert given == {("aa", "H100", 1.0), ("bb", "zone=b", 0.0)}
    devices["zone=b"] = {**devices["H100"], "device_kind": "NVIDIA H100"}
    with pytest.raises(ConfigError, match="got H100 and zone=b, both NVIDIA H100"):
        sweep.tasks(devices["H100"], devices)
