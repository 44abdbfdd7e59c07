"""Tasks behind codecs, as they are planned and refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from launch.commands.sweep import SWEEP_APP, prepare
from launch.config.app import run_app
from rdc.errors import ConfigError, DataError, ExitCode
from tests.unit.launch.calls import called


def stages_of(*arguments: str) -> Counter[str]:
    return Counter(task.job.stage for task in prepare(called(*arguments)).tasks())


def test_tasks_are_planned_fold_by_fold_or_once_for_a_test_set(
    tmp_path: Path, labelled: Path
) -> None:
    options = (f"out={tmp_path}", f"split.photographs={labelled}", "codecs=[]")
    mini = stages_of("+grid=sc2_mini", *options)
    methods = 4 * 3 + 6 + 3 + 2 * (3 + 1 + 2 + 2 + 1)  # light has six rates
    assert mini == {"teacher": 5, "split": 5 * methods}
    full = stages_of("+grid=sc2_full", *options, f"split.test={labelled}")
    assert full["teacher"] == 1
    weights = tmp_path / "resnet50.safetensors"
    with pytest.raises(ConfigError, match="teacher_weights is a safetensors file"):
        prepare(called("+grid=sc2_full", *options, f"split.teacher_weights={weights}"))


def test_what_no_task_can_be_is_refused_at_the_plan(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("+grid=sc2_mini", f"out={tmp_path}", f"split.photographs={labelled}")
    assert run_app(SWEEP_APP, options[:2]) == ExitCode.BAD_INPUT
    assert "answer labelled photographs; got none" in capsys.readouterr().err
    with pytest.raises(DataError, match="for each of 9 folds"):
        prepare(called(*options, "split.folds=9"))
    with pytest.raises(ConfigError, match="has the 16 channels of the teacher's"):
        prepare(called(*options, "split.teacher.widths=[16,16,16,16]"))
