"""Laws of every kind of job: plain data and back, identities that tell apart."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from rdc.errors import ConfigError
from rdc.identity import NUMERICS_VERSION
from rdc.jobs import layout
from rdc.jobs.job import (
    JOB_KINDS,
    BenchmarkJob,
    CodecJob,
    EstimateJob,
    EvaluateJob,
    Job,
    OverfitJob,
    Request,
    SplitJob,
    TeacherJob,
    TrainingEstimateJob,
    TrainJob,
    parse_job,
)
from rdc.overfitted.spec import OverfittedSpec
from rdc.specs import model as model_specs
from rdc.specs.base import Spec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.compiler import CompilerTarget
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.tasks import TaskRecipe, TeacherSpec
from rdc.specs.timing import BenchmarkSpec
from rdc.split.network_specs import StudentSpec
from rdc.split.specs import StudentMethod
from tests.architectures import ALL

MODEL = ModelSpec(
    architecture=ALL["conv-mean_scale_hyperprior-conv"],
    recipe=Recipe(steps=60, batch_size=2, crop_px=64),
    rates=(0.0125,),
    data_sha256="ab",
)
TRAIN = TrainJob(model=MODEL)
EVALUATE = EvaluateJob(run_id="0123", dataset="kodak", data_sha256="cd")
CODEC = CodecJob(codec=ClassicalSpec(name="jpeg"), dataset="kodak", data_sha256="cd")
BENCHMARK = BenchmarkJob(
    architecture=MODEL.architecture, hardware_id="ef", benchmark=BenchmarkSpec()
)
OVERFIT = OverfitJob(
    codec=OverfittedSpec(grids=4, context=6, coarser=1, lmbdas=(0.0125,)),
    name="mine",
    effort=0,
    dataset="kodak",
    image="kodim01.png",
    image_sha256="cd",
)
ESTIMATE = EstimateJob(
    architecture=MODEL.architecture,
    target=CompilerTarget(
        device_kind="TPU v4", topology="v4:2x2x1", clock_mhz=1050.0, memory_gb=17.2
    ),
    height_px=512,
    width_px=768,
)
STEP = TrainingEstimateJob.of(replace(MODEL, rates=(0.01, 0.02)), ESTIMATE.target)
TEACHER = TeacherJob(
    teacher=TeacherSpec(), dataset="flowers", data_sha256="ab", fold=0, fold_count=5
)
SPLIT = SplitJob(
    method=StudentMethod(beta=1.0),
    teacher="0123",
    dataset="flowers",
    data_sha256="ab",
    fold=0,
    fold_count=5,
    seed=0,
)
JOBS: tuple[Job, ...] = (
    *(TRAIN, EVALUATE, CODEC, OVERFIT, BENCHMARK, ESTIMATE, STEP, TEACHER, SPLIT),
)
every_job = pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stage)

# Ids of NUMERICS_VERSION 3. One that changes has every OUT computed again: see
# docs/decisions/012 on fields that are added.
GOLDEN = {
    "train": "7d7574df7afeb32e",
    "evaluate": "a4bca3ab18224b9a",
    "codec": "1a3e6841391bab42",
    "overfit": "44f98d63de919bfe",
    "benchmark": "322e6e0afe750d9b",
    "estimate": "60fbe051d9bcc030",
    "estimate_training": "1923e36288c65aa7",
    "teacher": "d9183a64e5f7b253",
    "split": "d7fbecdc9ffbefb5",
}
# Another valid value of every field that identities are made of.
OTHER: dict[type, dict[str, Any]] = {
    ModelSpec: {
        "architecture": ALL["conv-charm-conv"],
        "rates": (0.02,),
        "data_sha256": "cd",
        "init_from": "0123",
    },
    Recipe: {
        "steps": 61,
        "batch_size": 4,
        "crop_px": 192,
        "learning_rate": 2e-4,
        "warmup_steps": 5,
        "decay": "constant",
        "decay_start": 0.5,
        "final_learning_rate_ratio": 0.1,
        "clip_norm": 2.0,
        "seed": 1,
        "distortion": "ms_ssim",
        "precision": "bfloat16",
        "accumulate": 2,
        "remat": True,
        "ema": 0.999,
        "start": "principal_components",
        "warmup_share": 0.1,
        "kernel_basis": "frequencies",
        "flips": True,
        "upscaling": 1.5,
        "weight_decay": 0.01,
    },
    EvaluateJob: {"run_id": "4567", "dataset": "clic", "data_sha256": "ef"},
    CodecJob: {
        "codec": ClassicalSpec(name="webp"),
        "dataset": "clic",
        "data_sha256": "ef",
    },
    ClassicalSpec: {"settings": (10, 20), "subsampling": "4:4:4"},
    BenchmarkJob: {
        "architecture": ALL["conv-charm-conv"],
        "hardware_id": "01",
        "run_id": "4567",
    },
    BenchmarkSpec: {
        **{"height_px": 256, "width_px": 256, "warmup": 3, "repeats": 3},
        **{"precision": "highest", "max_drift": 0.2, "attempts": 1, "batch_size": 2},
    },
    CodecSettings: {"coder": "tfc", "numerics": "exact", "effort": 1},
    OverfitJob: {
        "name": "other",
        "effort": 1,
        "dataset": "clic",
        "image": "kodim02.png",
        "image_sha256": "ef",
    },
    EstimateJob: {
        "architecture": ALL["conv-charm-conv"],
        "height_px": 1365,
        "width_px": 2048,
    },
    TrainingEstimateJob: {"architecture": ALL["conv-charm-conv"], "num_rates": 1},
    CompilerTarget: {
        "device_kind": "TPU v5 lite",
        "topology": "v5e:2x2",
        "clock_mhz": 1500.0,
        "memory_gb": 16.0,
        "precision": "highest",
        "note": "one chip",
    },
    TeacherJob: {
        **{"dataset": "photos", "data_sha256": "cd", "test_sha256": "ef"},
        **{"weights_sha256": "01", "fold": 1, "fold_count": 4, "answered_px": 224},
    },
    TeacherSpec: {
        **{"widths": (8, 8, 8, 8), "blocks": (2, 1, 1, 1), "bottleneck": True},
        **{"recipe": TaskRecipe(epochs=1), "seed": 1, "task": "detection"},
        **{"classes": 91, "head_channels": 8, "auxiliary": False, "first_stage": 1},
    },
    SplitJob: {
        **{"codec_id": "45", "teacher": "4567", "dataset": "photos"},
        **{"data_sha256": "cd", "unlabelled_sha256": "ef", "test_sha256": "ef"},
        **{"fold": 1, "fold_count": 4, "seed": 1, "answered_px": 224},
    },
    StudentMethod: {
        "beta": 2.0,
        "networks": StudentSpec(hyper_channels=16),
        "distillation": TaskRecipe(epochs=1),
        "fine_tuning": TaskRecipe(epochs=1),
    },
    OverfittedSpec: {
        "grids": 5,
        "context": 7,
        "coarser": 2,
        "entropy_widths": (16,),
        "synthesis_width": 8,
        "residual_blocks": 1,
        "lmbdas": (0.025,),
    },
}
# Of a training that starts from another one.
OF_A_TEACHER = {
    "method": "mask_decay",
    "trained": "encoder",
    "decay_share": 0.5,
    "decay_rate": 0.01,
}
# Fields with one valid value, or whose specs are varied by themselves.
ONLY_ONE = {
    (ModelSpec, "recipe"),
    (EvaluateJob, "codec"),
    (BenchmarkJob, "codec"),
    (BenchmarkJob, "benchmark"),
    (OverfitJob, "codec"),
    (EstimateJob, "target"),
    (TrainingEstimateJob, "target"),
    (TrainingEstimateJob, "recipe"),
    (TeacherJob, "teacher"),
    (SplitJob, "method"),
    (CompilerTarget, "gpu"),  # which wants another precision
    (ClassicalSpec, "name"),  # CodecJob's `codec` is another one
    *((Recipe, name) for name in OF_A_TEACHER),
}


def variations(value: Any) -> list[tuple[str, Any]]:
    """The value with one field changed, for each field of it and of specs in it."""
    changed = []
    base = value
    if value == MODEL.recipe:
        base = replace(value, crop_px=192)  # large enough for every distortion
    for name, other in OTHER[type(value)].items():
        start = value if name == "crop_px" else base
        changed.append(
            (f"{type(value).__name__}.{name}", replace(start, **{name: other}))
        )
    return changed


def test_every_field_is_varied() -> None:
    for kind, others in OTHER.items():
        names = {field.name for field in fields(kind)}
        alone = {name for owner, name in ONLY_ONE if owner is kind}
        assert set(others) | alone == names, kind
        assert not set(others) & alone, kind


def family(job: Job) -> dict[str, Job]:
    """The job, and all that differ from it in one field of one of its specs."""
    found = {"itself": job}
    if isinstance(job, TrainJob):
        found |= {n: TrainJob(model=m) for n, m in variations(job.model)}
        for name, recipe in variations(job.model.recipe):
            found[name] = TrainJob(model=replace(job.model, recipe=recipe))
        return found
    found |= dict(variations(job))
    for field in ("codec", "benchmark", "target", "recipe", "teacher", "method"):
        spec = getattr(job, field, None)
        if isinstance(spec, Spec):
            for name, other in variations(spec):
                found[name] = replace(job, **{field: other})
    return found


def test_a_student_is_identified_by_how_it_comes_from_its_teacher() -> None:
    plain = replace(MODEL, init_from="0123")
    decayed = replace(plain, recipe=replace(plain.recipe, method="mask_decay"))
    found = {MODEL.run_id, plain.run_id, decayed.run_id}
    for name in ("trained", "decay_share", "decay_rate"):
        recipe = replace(decayed.recipe, **{name: OF_A_TEACHER[name]})
        found.add(replace(plain, recipe=recipe).run_id)
        # What only mask decay has is nothing to others.
        recipe = replace(plain.recipe, **{name: OF_A_TEACHER[name]})
        same = replace(plain, recipe=recipe).run_id == plain.run_id
        assert same == (name != "trained")
    assert len(found) == 6


@every_job
def test_plain_data_gives_the_job_again(job: Job) -> None:
    for name, other in family(job).items():
        again = parse_job(json.loads(json.dumps(other.to_dict())))
        assert again == other, name
        assert again.job_id == other.job_id, name


@every_job
def test_every_field_makes_another_job(job: Job) -> None:
    ids = {name: other.job_id for name, other in family(job).items()}
    if job is TRAIN:  # all but one recipe also have larger crops
        crops = replace(MODEL.recipe, crop_px=192)
        ids["larger crops"] = replace(MODEL, recipe=crops).run_id
        assert ids.pop("Recipe.crop_px") == ids["larger crops"]
    assert len(set(ids.values())) == len(ids), ids


@every_job
def test_ids_stay(job: Job) -> None:
    assert NUMERICS_VERSION == 3
    assert job.job_id == GOLDEN[job.stage]


def test_seeds_and_data_share_the_estimate_of_a_step() -> None:
    other = replace(MODEL, data_sha256="cd", recipe=replace(MODEL.recipe, seed=7))
    one, two = (TrainingEstimateJob.of(m, ESTIMATE.target) for m in (MODEL, other))
    assert one.job_id == two.job_id


def test_equal_numbers_make_equal_jobs() -> None:
    """Whether someone wrote 8 or 8.0."""
    whole, decimal = (replace(MODEL, rates=(rate,)) for rate in (8, 8.0))
    assert whole == decimal
    assert (
        whole.run_id
        == decimal.run_id
        == parse_job(TrainJob(model=whole).to_dict()).job_id
    )


def test_evaluations_by_different_coders_are_different_jobs() -> None:
    by_coder = [
        replace(EVALUATE, codec=CodecSettings(coder=coder)).job_id
        for coder in ("range", "tfc")
    ]
    assert len(set(by_coder)) == 2


def test_stages_never_share_an_id() -> None:
    assert len({job.job_id for job in JOBS}) == len(JOBS) == len(JOB_KINDS)
    assert {type(job) for job in JOBS} == set(JOB_KINDS.values())


def test_other_numerics_are_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = MODEL.run_id, MODEL.curve_id
    monkeypatch.setattr(model_specs, "NUMERICS_VERSION", NUMERICS_VERSION + 1)
    assert MODEL.run_id != before[0]
    assert MODEL.curve_id != before[1]


@pytest.mark.parametrize("job", [TRAIN, BENCHMARK], ids=lambda job: job.stage)
def test_jobs_of_other_numerics_are_refused(job: Job) -> None:
    values = {**job.to_dict(), "numerics_version": NUMERICS_VERSION - 1}
    with pytest.raises(ConfigError, match=r"got 2\. .* use a new out=DIR"):
        parse_job(values)


def test_models_of_one_curve_differ_in_their_rate_alone() -> None:
    curve = {replace(MODEL, rates=(rate,)).curve_id for rate in (0.01, 0.02)}
    assert len(curve) == 1
    other = replace(MODEL, recipe=replace(MODEL.recipe, seed=1))
    assert other.curve_id not in curve
    assert [(p.rate, p.lmbda) for p in MODEL.operating_points] == [(0, 0.0125)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"stage": "tune"},
            "got 'tune'. One of train, evaluate, codec, overfit, teacher, split, bench",
        ),
        ({}, "got None. One of train, evaluate, codec, overfit, teacher, split"),
        ({"stage": "evaluate", "run_id": "ab"}, "evaluate job is complete; got no"),
        # As an OUT from before models without lambda has them.
        ({"stage": "train", "architecture": {}, "train": {}}, "use a new out=DIR"),
        ({**EVALUATE.to_dict(), "codec": {"coder": "zip"}}, "codec.coder"),
    ],
)
def test_what_is_no_job_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_job(values)
    assert "<class" not in str(caught.value)


def test_requests_survive_plain_data() -> None:
    request = Request(images="bundled:train", resume_from=("a", "b"), accumulate=2)
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@every_job
def test_folders_are_those_of_the_layout(job: Job) -> None:
    folder = job.folder(Path("out"))
    assert folder == layout.job_folder(Path("out"), job.folder_name, job.job_id)
    assert folder.parts == ("out", job.folder_name, job.job_id[:2], job.job_id)
    assert layout.attempt_folder(folder, 3) == folder / "attempts" / "3"


def test_kinds_have_folders_of_their_own() -> None:
    folders = {kind.folder_name for kind in JOB_KINDS.values()}
    assert folders == {
        *("runs", "evaluations", "codecs", "overfitted", "benchmarks", "estimates"),
        *("training_estimates", "teachers", "splits"),
    }
    assert all(dataclasses.is_dataclass(kind) for kind in JOB_KINDS.values())
