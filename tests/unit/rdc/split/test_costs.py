"""Costs of trainings, from published counts of the networks."""

from __future__ import annotations

from rdc.specs.task_networks import resnet50
from rdc.specs.tasks import TaskRecipe
from rdc.split.costs import teacher_flops, training_flops
from rdc.split.network_specs import PlacementSpec
from rdc.split.specs import EndToEndMethod, PlacementMethod, StudentMethod

TEACHER = resnet50(1000)
WHOLE = 4_089_184_256  # MACs at 224 px
ENCODER = 465_523_200 + 122_830_848
ONE = TaskRecipe(epochs=1, batch=2, crop_px=224)


def test_of_a_teacher_and_of_a_placement_all_is_trained() -> None:
    assert teacher_flops(TEACHER, ONE, 7) == 2 * 3 * WHOLE * 8  # four steps of two
    spec = PlacementMethod(
        beta=1.0, networks=PlacementSpec(stage=2, channels=512), recipe=ONE
    )
    assert training_flops(spec, TEACHER, 6, 100) == 2 * 3 * WHOLE * 6


def test_a_student_s_stages_train_what_they_train() -> None:
    student = StudentMethod(beta=1.0, distillation=ONE, fine_tuning=ONE)
    end_to_end = EndToEndMethod(beta=1.0, recipe=ONE)
    scratch = training_flops(end_to_end, TEACHER, 2, 0) / 4  # MACs of one square
    behind = scratch / 3 - ENCODER  # decoder and tail
    first = training_flops(student, TEACHER, 2, 98) - training_flops(
        student, TEACHER, 2, 0
    )
    second = (training_flops(student, TEACHER, 2, 0) - first * 2 / 98) / 4
    assert second == 3 * behind + ENCODER + WHOLE
    tail = 3 * (ENCODER + behind) + WHOLE - first / (2 * 98)
    assert 0.7 * WHOLE < tail < 0.95 * WHOLE  # behind stage 1
