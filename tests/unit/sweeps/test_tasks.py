"""Plans become jobs: which, in what order, on what, and which share a process."""

import dataclasses
import json
from collections import Counter

import pytest

from rdc.errors import ConfigError
from rdc.jobs.job import BenchmarkJob, CodecJob, parse_job
from rdc.jobs.plan_row import COST_COLUMNS, Cost
from rdc.specs.coding import CodecSettings
from rdc.specs.components import ArchitectureSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from sweeps.capacity import Resources
from sweeps.grid import Grid
from sweeps.overfitting import Overfitting
from sweeps.plan import Plan, make_plan
from sweeps.task_settings import ImageFile, ImageSet, StageSettings, TaskSettings
from sweeps.tasks import make_tasks

TRAINING, PHOTOGRAPHS = ImageSet("train", "train", "0"), ImageSet("eval", "eval", "1")
EXACT = CodecSettings(numerics="exact", coder="tfc")


def plan(**axes: list) -> Plan:
    grid = {
        "name": "tasks",
        "base": {"architecture": "bmshj2018_factorized"},
        "blocks": [{"product": {f"train.{k}": v for k, v in axes.items()}}],
    }
    train = {"lmbda": 0.01, **Recipe(steps=10).to_dict()}
    return make_plan(Grid.from_dict(grid), train, "0")


def settings(**changes) -> TaskSettings:
    return TaskSettings(
        **{
            "stages": ("train", "evaluate", "benchmark"),
            "train_set": TRAINING,
            "eval_set": PHOTOGRAPHS,
            "hardware_id": "here",
            "benchmark": BenchmarkSpec(),
            **changes,
        }
    )


def test_each_model_is_trained_evaluated_and_timed():
    tasks = make_tasks(plan(seed=[0, 1]), settings(codec=EXACT))
    assert Counter(t.job.stage for t in tasks) == dict.fromkeys(
        ("train", "evaluate", "benchmark"), 2
    )
    trainings = {t.job_id for t in tasks if t.parent is None}
    assert {t.parent for t in tasks} == {None, *trainings}
    assert {t.job.codec for t in tasks if t.job.stage != "train"} == {EXACT}
    assert all(task.job_id == task.job.job_id for task in tasks)


def test_random_weights_are_timed_once_per_architecture_and_numerics():
    tasks = make_tasks(plan(seed=[0, 1]), settings(codec=EXACT, weights="random"))
    [timing] = [t for t in tasks if isinstance(t.job, BenchmarkJob)]
    assert (timing.parent, timing.job.run_id) == (None, None)
    assert timing.job.codec == CodecSettings(numerics="exact")
    assert timing.priority == min(task.priority for task in tasks)


def test_classical_codecs_are_measured_once_per_set_of_images_on_the_cpu():
    stages = {"evaluate": StageSettings(resources=Resources(cpus=2, gpus=1.0))}
    made = settings(codecs=("jpeg", "webp"), per_stage=stages)
    tasks = [t for t in make_tasks(plan(seed=[0, 1]), made) if t.job.stage == "codec"]
    assert [task.job.codec.name for task in tasks] == ["jpeg", "webp"]
    for task in tasks:
        assert isinstance(task.job, CodecJob)
        assert task.job.data_sha256 == PHOTOGRAPHS.data_sha256
        assert task.request.images == PHOTOGRAPHS.source
        assert task.resources == Resources(cpus=2, gpus=0.0)
        assert task.parent is None


def test_classical_codecs_belong_to_the_stage_evaluate():
    made = settings(codecs=("jpeg",), stages=("train", "benchmark"))
    assert "codec" not in {t.job.stage for t in make_tasks(plan(seed=[0]), made)}


def test_an_unknown_classical_codec_is_named():
    with pytest.raises(ConfigError, match="Did you mean jpeg"):
        settings(codecs=("jpg",))


def test_models_equal_but_for_their_rate_share_a_process():
    runs = plan(lmbda=[0.01, 0.02, 0.03], seed=[0, 1])
    tasks = make_tasks(runs, settings(models_together=2, stages=("train",)))
    groups: dict[str | None, list] = {}
    for task in tasks:
        groups.setdefault(task.together, []).append(task.job.model)
    assert sorted(map(len, groups.values())) == [1, 1, 2, 2]
    for models in groups.values():
        alike = {dataclasses.replace(model, rates=(1.0,)) for model in models}
        assert len(alike) == 1
        assert len({model.rates for model in models}) == len(models)


def test_alone_unless_asked():
    tasks = make_tasks(plan(lmbda=[0.01, 0.02]), settings(stages=("train",)))
    assert {task.together for task in tasks} == {None}


def test_codecs_are_fitted_image_by_image_and_lambda_by_lambda():
    images = (
        ImageFile("/photos/a.png", "a" * 64),
        ImageFile("/photos/b.png", "b" * 64),
    )
    wanted = Overfitting(codecs=("overfitted_300",), lmbdas=(0.003, 0.0125), effort=1)
    none = Plan("none", ())
    asked = settings(stages=("evaluate",), overfitted=wanted, eval_images=images)
    tasks = make_tasks(none, asked)
    assert [(t.job.image, t.job.lmbda) for t in tasks] == [
        (name, lmbda) for name in ("a.png", "b.png") for lmbda in (0.003, 0.0125)
    ]
    assert tasks[0].request.images == "/photos/a.png"
    assert len({t.job_id for t in tasks}) == 4
    assert all(t.job.resumes and parse_job(t.job.to_dict()) == t.job for t in tasks)
    assert make_tasks(none, dataclasses.replace(asked, stages=("train",))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"codecs": ("overfitted_5",)}, "overfitted_300"),
        ({"lmbdas": (0.0,)}, "positive"),
        ({"effort": 4}, "0 to 3"),
    ],
)
def test_impossible_searches_are_refused(values: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        Overfitting(**values)


def test_pilots_of_all_families_start_first_and_then_the_longest_trainings():
    sizes = [{"channels": [c, c, c], "latent_channels": c} for c in (8, 32, 16)]
    grid = {
        "name": "order",
        "base": {"entropy_model": "factorized"},
        "blocks": [
            {"base": {"transform": name}, "product": {"transform": sizes}}
            for name in ("conv", "elic")
        ],
    }
    train = {"lmbda": 0.01, **Recipe(steps=10).to_dict()}

    def count(spec: ArchitectureSpec) -> Cost:
        macs = float(spec.transform.latent_channels)
        part = {"component": "analysis_transform", "macs_per_px": macs}
        columns = dict.fromkeys(COST_COLUMNS, 1)
        return Cost(**columns, components_json=json.dumps([part]))

    counted = make_plan(Grid.from_dict(grid), train, "0", count_cost=count)
    tasks = make_tasks(counted, settings(stages=("train",)))
    tasks.sort(key=lambda task: task.priority)
    transforms = [task.job.model.architecture.transform for task in tasks]
    assert [(t.name, t.latent_channels) for t in transforms] == [
        *[("conv", 8), ("elic", 8)],
        *[("conv", 32), ("elic", 32), ("conv", 16), ("elic", 16)],
    ]


def test_every_model_is_timed_on_each_device_with_what_processes_get_there():
    def on(device: str, gpus: float) -> StageSettings:
        return StageSettings(resources=Resources(cpus=None, gpus=gpus, device=device))

    devices = {"aa": on("H100", 1.0), "bb": on("zone=b", 0.0)}
    tasks = make_tasks(plan(seed=[0, 1]), settings(devices=devices))
    timings = [task for task in tasks if isinstance(task.job, BenchmarkJob)]
    assert len({task.job_id for task in timings}) == 4
    given = {(t.job.hardware_id, t.resources) for t in timings}
    assert given == {(name, asked.resources) for name, asked in devices.items()}
    assert {task.label.rpartition(" on ")[2] for task in timings} == {"H100", "zone=b"}
    assert {t.resources.device for t in tasks if t not in timings} == {None}


def test_classical_codecs_leave_accelerators_to_others():
    on_h100 = StageSettings(resources=Resources(gpus=1.0, device="H100"))
    per_stage = {"evaluate": on_h100}
    tasks = make_tasks(plan(), settings(codecs=("jpeg",), per_stage=per_stage))
    resources = {task.job.stage: task.resources for task in tasks}
    assert resources["evaluate"] == on_h100.resources
    assert resources["codec"] == Resources()


def test_tasks_name_the_setting_of_their_resources():
    tasks = make_tasks(plan(seed=[0]), settings(codecs=("jpeg",)))
    assert {task.job.stage: task.setting for task in tasks} == {
        "train": "hardware.train",
        "evaluate": "hardware.evaluate",
        "codec": "hardware.evaluate",
        "benchmark": "hardware.benchmark",
    }
