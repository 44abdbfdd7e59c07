"""Tasks behind codecs, as they are planned and refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from launch.commands.sweep import SWEEP_APP, prepare
from launch.config.app import run_app
from rdc.errors import ConfigError, DataError, ExitCode
from rdc.jobs.job import parse_job
from rdc.jobs.splits import TeacherJob
from rdc.specs.task_networks import deeplab_resnet50, retinanet_resnet50
from tests.unit.launch.calls import called
from tests.unit.rdc.tasks.pictures import write_coco, write_voc


def stages_of(*arguments: str) -> Counter[str]:
    return Counter(task.job.stage for task in prepare(called(*arguments)).tasks())


def test_tasks_are_planned_fold_by_fold_or_once_for_a_test_set(
    tmp_path: Path, labelled: Path
) -> None:
    options = (f"out={tmp_path}", f"split.photographs={labelled}", "codecs=[]")
    mini = stages_of("+grid=sc2_mini", *options)
    methods = 4 * 3 + 6 + 3 + 2 * (4 + 1 + 2 + 2 + 1)  # light has six rates
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
    assert "answer photographs of a task; got none" in capsys.readouterr().err
    with pytest.raises(DataError, match="for each of 9 folds"):
        prepare(called(*options, "split.folds=9"))
    with pytest.raises(ConfigError, match="has the 16 channels of the teacher's"):
        prepare(called(*options, "split.teacher.widths=[16,16,16,16]"))


def test_masks_and_boxes_are_planned_with_a_set_to_answer(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_text("a file that is called as the list is")
    out, voc, coco = tmp_path / "out", tmp_path / "voc", tmp_path / "coco"
    write_voc(voc, 5)
    lists = voc / "ImageSets/Segmentation"
    (lists / "val.txt").write_text("3\n4\n")
    coco.mkdir()
    write_coco(coco, 4)
    other = tmp_path / "other"
    other.mkdir()
    write_coco(other, 2)
    options = ("+grid=sc2_full", f"out={out}", "codecs=[]")
    masks = (*options, "split=sc2_voc", f"split.photographs={voc}")
    annotated = (*masks, "split.annotations=train", "split.test_annotations=val")
    tasks = prepare(called(*annotated)).tasks()
    assert Counter(task.job.stage for task in tasks) == {
        "teacher": 1,
        "split": 3 * 11 + 2 * 6 + 6 + 6,
    }
    job = tasks[0].job
    assert isinstance(job, TeacherJob)
    assert (job.dataset, job.answered_px) == ("voc val", 513)
    assert job.teacher.network(21) == deeplab_resnet50()
    assert tasks[0].request.annotations == "train"
    assert tasks[0].request.test_annotations == "val"
    assert parse_job(job.to_dict()) == job

    boxes = (*options, "split=sc2_coco", f"split.photographs={coco}/images")
    of_boxes = (
        f"split.annotations={coco}/instances.json",
        f"split.test={other}/images",
    )
    tests = f"split.test_annotations={other}/instances.json"
    tasks = prepare(called(*boxes, *of_boxes, tests)).tasks()
    job = tasks[0].job
    assert isinstance(job, TeacherJob)
    assert (job.dataset, job.answered_px) == ("images", 800)
    assert job.teacher.network(80) == retinanet_resnet50()
    assert job.test_sha256 != job.data_sha256
    assert tasks[0].request.photographs == f"{coco}/images"
    assert tasks[0].request.test_photographs == f"{other}/images"

    pooled = "{stage: 5, channels: 2048}"
    deep = "split.methods=[{base: {name: placement, beta: 1, networks: "
    deep += "{stage: 3, channels: 1024}}}]"
    with pytest.raises(ConfigError, match="detection is cut after stage 2 at the la"):
        prepare(called(*boxes, *of_boxes, tests, deep))
    for wrong, message in (
        (("split.annotations=null",), "a list of ImageSets/Segmentation"),
        (("split.test_annotations=test",), "has its list of names"),
        ((f"split.encoders={out}",), "of a sweep that trained students"),
        (
            (
                "split.methods=[{base: {name: placement, beta: 1, "
                f"networks: {pooled}}}}}]",
            ),
            "segmentation is cut after stage 4 at the latest; got 5",
        ),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            prepare(called(*annotated, *wrong))
    for refused, message in (
        ((*boxes, *of_boxes[:1]), "answers photographs of their own; got none"),
        ((*annotated, "split.answered_px=8"), "answered_px is 32 or more; got 8"),
    ):
        assert run_app(SWEEP_APP, refused) == ExitCode.BAD_INPUT
        assert message in capsys.readouterr().err


def test_classes_have_no_annotations(tmp_path: Path, labelled: Path) -> None:
    options = ("+grid=sc2_mini", f"out={tmp_path}", f"split.photographs={labelled}")
    with pytest.raises(ConfigError, match=r"labels stand in labels.csv.*train"):
        prepare(called(*options, "split.annotations=train"))
