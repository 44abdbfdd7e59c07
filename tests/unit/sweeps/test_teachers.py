"""Trainings that start from other trainings of their grid."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rdc.errors import ConfigError
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from sweeps.grid import Grid
from sweeps.plan import Plan, Run, make_plan
from sweeps.plan_file import read_plan, write_plan
from sweeps.task_settings import ImageSet, TaskSettings
from sweeps.tasks import make_tasks

BASE = {
    "transform": "evc",
    "transform.latent_channels": 48,
    "entropy_model": "dual_spatial_prior",
    "hyper_transform": "evc",
}
WIDE = {"transform.encoder_channels": [32, 48, 64]}
NARROW = {"transform.encoder_channels": [12, 20, 32]}
OF_WIDE = {**WIDE, "train.method": "plain"}
TRAIN = {
    "lmbda": 0.0125,
    **Recipe(steps=10, start="principal_components").to_dict(),
}
SEEDS = {"train.seed": [0, 1]}
TEACHER = {"base": WIDE, "product": SEEDS}
STUDENT = {
    "base": {**NARROW, "train.method": "mask_decay", "train.teacher": OF_WIDE},
    "product": SEEDS,
}


def plan(*blocks: dict[str, Any]) -> Plan:
    grid = {"name": "teachers", "base": BASE, "blocks": list(blocks)}
    return make_plan(Grid.from_dict(grid, "grid"), TRAIN, "0")


def wide(run: Run) -> bool:
    return run.model.architecture.transform.encoder_channels[0] == 32


def test_a_student_starts_from_the_run_of_its_own_seed() -> None:
    made = plan(TEACHER, STUDENT)
    teachers = {run.model.recipe.seed: run for run in made.runs if wide(run)}
    students = [run for run in made.runs if not wide(run)]
    assert len(teachers) == len(students) == 2
    for student in students:
        teacher = teachers[student.model.recipe.seed]
        assert student.model.init_from == teacher.run_id
        assert student.model.recipe.method == "mask_decay"
        # Its weights come from the teacher, whatever the configuration starts from.
        assert student.model.recipe.start == "random"
        assert teacher.model.recipe.start == "principal_components"


def test_a_teacher_of_a_teacher() -> None:
    more = {
        "base": {
            **NARROW,
            "encoders": 2,
            "train.trained": "encoder",
            "train.teacher": {
                "encoders": 1,
                "train.method": "mask_decay",
                "train.trained": "all",
                "train.teacher": OF_WIDE,
            },
        }
    }
    made = plan(TEACHER, STUDENT, more)
    last = made.runs[-1]
    parent = next(run for run in made.runs if run.run_id == last.model.init_from)
    assert parent.model.recipe.method == "mask_decay"
    assert last.model.architecture.encoders == 2
    assert parent.model.architecture.encoders == 1


def test_the_same_point_from_scratch_may_be_the_teacher() -> None:
    again = {"base": {**NARROW, "train.teacher": {}}}
    made = plan({"base": NARROW}, again)
    assert made.runs[1].model.init_from == made.runs[0].run_id


def test_students_wait_for_their_teachers(tmp_path: Any) -> None:
    made = plan(TEACHER, STUDENT)
    write_plan(tmp_path, made)
    assert [Run.of_row(row).model for row in read_plan(tmp_path)] == [
        run.model for run in made.runs
    ]
    images = ImageSet("train", "train", "0"), ImageSet("eval", "eval", "1")
    settings = TaskSettings(
        stages=("train", "evaluate"),
        train_set=images[0],
        eval_set=images[1],
        hardware_id="here",
        benchmark=BenchmarkSpec(),
        models_together=2,
    )
    tasks = {task.job_id: task for task in make_tasks(made, settings)}
    for run in made.runs:
        assert tasks[run.run_id].parent == run.model.init_from
        # Each student decays a teacher of its own, in a process of its own.
        assert (tasks[run.run_id].together is None) == (run.model.init_from is not None)
    (student, *_) = (run for run in made.runs if not wide(run))
    folders = {str(student.model.init_from): "/models/teacher"}
    alone = dataclasses.replace(made, runs=(student,))
    given = make_tasks(alone, dataclasses.replace(settings, teachers=folders))
    training = next(task for task in given if task.job_id == student.run_id)
    assert (training.parent, training.request.model_dir) == (None, "/models/teacher")


def test_all_encoders_of_a_model_are_evaluated() -> None:
    two = {"base": {**NARROW, "encoders": 2}}
    settings = TaskSettings(
        stages=("evaluate",),
        train_set=ImageSet("train", "train", "0"),
        eval_set=ImageSet("eval", "eval", "1"),
        hardware_id="here",
        benchmark=BenchmarkSpec(),
    )
    efforts = [
        task.job.codec.effort  # type: ignore[union-attr]
        for task in make_tasks(plan({"base": NARROW}, two), settings)
    ]
    assert efforts == [0, 1]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([STUDENT], "teachers of grid teachers are runs of it"),
        (
            [{"base": {**NARROW, "train.method": "mask_decay"}}],
            "mask_decay starts from another model",
        ),
        (
            [{"base": {**NARROW, "train.teacher": "best"}}],
            "train.teacher in a grid is what",
        ),
        (
            [TEACHER, {"base": {**NARROW, "train.teacher": WIDE}}],
            "model of its own architecture",
        ),
        (
            [
                {"base": {**WIDE, "hyper_transform.channels": 32}},
                {
                    "base": {
                        **NARROW,
                        "train.method": "mask_decay",
                        "train.teacher": {**OF_WIDE, "hyper_transform.channels": 32},
                    }
                },
            ],
            "teacher and student of mask decay have one hyper_transform",
        ),
        (
            [
                {"base": {**WIDE, "train.lmbda": [0.01, 0.02]}},
                {
                    "base": {
                        **NARROW,
                        "train.method": "mask_decay",
                        "train.teacher": {**OF_WIDE, "train.lmbda": [0.01, 0.02]},
                    }
                },
            ],
            "as many rates",
        ),
    ],
)
def test_what_cannot_be_is_refused(blocks: list[dict], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(*blocks)
