"""A tiny detector: torchvision's sizes, and rectangles that it learns to find."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.codec.exported import named_weights
from rdc.complexity import count_network
from rdc.errors import ConfigError, DataError
from rdc.layers import ParameterFactory
from rdc.specs.task_networks import (
    ResNetSpec,
    RetinaNetSpec,
    retinanet_resnet50,
)
from rdc.specs.tasks import OptimizerSpec, TaskRecipe
from rdc.tasks.box_map import Detections, box_map
from rdc.tasks.boxes import BACKGROUND, NOT_COUNTED, anchors_of, targets
from rdc.tasks.coco import BoxAnnotation, BoxedPhotographs, boxed_photographs
from rdc.tasks.detection import Detection, answer_loss, detected
from rdc.tasks.networks import answering, build
from rdc.tasks.retinanet import RetinaNet
from rdc.tasks.teachers import load, save
from rdc.tasks.training import train_network
from tests.unit.rdc.tasks.pictures import HEIGHT, WIDTH, write_coco

SPEC = RetinaNetSpec(
    backbone=ResNetSpec(classes=2, widths=(8, 8, 8, 8)),
    pyramid_channels=16,
    first_stage=1,
)
ROWS = np.arange(6)
loss = jax.jit(answer_loss)


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> BoxedPhotographs:
    root = tmp_path_factory.mktemp("coco")
    write_coco(root, len(ROWS))
    return boxed_photographs(root / "images", root / "instances.json")


def annotated(boxed: BoxedPhotographs, shift: float = 0) -> list[Detections]:
    """The annotated boxes as answers, moved to the right by a share of their width."""
    found = []
    for i in ROWS:
        boxes, classes = boxed.boxes(i)
        boxes[:, [0, 2]] += shift * (boxes[:, 2:3] - boxes[:, 0:1])
        found.append(Detections(boxes, np.full(len(boxes), 0.9, np.float32), classes))
    return found


def test_retinanet_is_torchvisions() -> None:
    """RetinaNet_ResNet50_FPN_Weights.COCO_V1: 34 014 999 parameters.

    There, weights and biases of normalisations are frozen and do not count.
    """
    network = RetinaNet(retinanet_resnet50(), ParameterFactory(None))
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    normalisations = 2 * 26_560
    count = sum(math.prod(leaf.shape) for leaf in leaves)
    assert count == 34_014_999 + normalisations
    cost = count_network(network, (160, 192, 3))
    names = set(named_weights(nnx.state(network)))
    assert {
        "backbone.body.layer4.2.conv3.kernel",
        "backbone.fpn.inner_blocks.2.0.bias",
        "backbone.fpn.layer_blocks.0.0.kernel",
        "backbone.fpn.extra_blocks.p7.kernel",
        "heads.classification_head.cls_logits.kernel",
        "heads.regression_head.conv.3.0.bias",
        "heads.regression_head.bbox_reg.bias",
    } <= names
    anchors = sum(map(len, anchors_of(network.spec, 160, 192)))
    assert cost.output_shape == (anchors, 91 + 4)


def test_losses_are_those_by_hand() -> None:
    """A thing, a background and an anchor that does not count; one class."""
    logits, far = np.asarray([0.5, -1.0, 3.0]), np.asarray([0.05, 0.3, -2.0, 0.0])
    answers = np.zeros((1, 3, 5), np.float32)
    answers[0, :, 0] = logits
    answers[0, 0, 1:] = 1 + far
    answers[0, 1:, 1:] = 50  # offsets of no thing do not count
    labels = np.asarray([[0, BACKGROUND, NOT_COUNTED]])
    offsets = np.zeros((1, 3, 4), np.float32)
    offsets[0, 0] = 1

    thing, ground = 1 / (1 + np.exp(-logits[:2]))
    focal = 0.25 * (1 - thing) ** 2 * -math.log(thing)
    focal += 0.75 * ground**2 * -math.log(1 - ground)
    smooth = 0.5 * 0.05**2 / 0.1 + (0.3 - 0.05) + (2 - 0.05)
    assert loss(answers, labels, offsets) == pytest.approx(focal + smooth, rel=1e-5)
    # For each thing: twice of everything is no more.
    twice = (np.repeat(each, 2, 1) for each in (answers, labels, offsets))
    assert loss(*twice) == pytest.approx(focal + smooth, rel=1e-5)


@pytest.mark.benchmark  # the compilation takes most of it
def test_rectangles_are_learned_and_kept(
    boxed: BoxedPhotographs, tmp_path: Path
) -> None:
    optimizer = OptimizerSpec(learning_rate=0.01, tenths_at=(0.7,))
    epochs = 100 * 6 / len(ROWS)
    recipe = TaskRecipe(epochs=epochs, batch=6, crop_px=WIDTH, optimizer=optimizer)
    network = train_network(
        build(SPEC, ParameterFactory(0)), boxed, ROWS, recipe, 0, tmp_path / "at"
    )
    teacher = save(network, ("early", "late"), {}, tmp_path)
    loaded = load(tmp_path)
    assert (loaded.teacher_id, loaded.network.spec) == (teacher.teacher_id, SPEC)
    answer = answering(loaded.network)
    found = [detected(answer(boxed.image(i)), SPEC, HEIGHT, WIDTH) for i in ROWS]
    assert box_map(boxed, list(ROWS), found) > 0.1
    anchors = np.concatenate(anchors_of(SPEC, HEIGHT, WIDTH))
    each = [targets(anchors, *boxed.boxes(i)) for i in ROWS]
    labels, offsets = (np.stack(part) for part in zip(*each, strict=True))
    answers = np.stack([answer(boxed.image(i)) for i in ROWS])
    at_first = np.zeros_like(answers)
    at_first[..., :-4] = math.log(0.01 / 0.99)
    assert loss(answers, labels, offsets) < 0.5 * loss(at_first, labels, offsets)


def test_what_anchors_learn_is_what_answers_mean(
    boxed: BoxedPhotographs,
) -> None:
    """Targets as an answer: the annotated boxes, and mean average precision 1; also of
    photographs that are scaled before they are answered.
    """
    for px, scale in ((None, 1.0), (80, 2.0)):
        task = Detection(SPEC, px)
        scores = task.scores(boxed)
        for i in ROWS:
            image = task.image(boxed, i)
            assert image.shape == (scale * HEIGHT, scale * WIDTH, 3)
            anchors = np.concatenate(anchors_of(SPEC, *image.shape[:2]))
            boxes, classes = boxed.boxes(i)
            labels, offsets = targets(anchors, scale * boxes, classes)
            logits = np.where(labels[:, None] == np.arange(2), 5.0, -9.0)
            answer = np.concatenate([logits, offsets], 1)
            found = detected(answer, SPEC, *image.shape[:2])
            np.testing.assert_allclose(found.boxes, scale * boxes, atol=2e-4)
            row = scores.answered(i, image, answer, answer, 1)
            assert (row.label, row.kl_nats, row.agreement) == (None, None, None)
        assert scores.metric() == pytest.approx(1)
    assert Detection(SPEC, 30).image(boxed, 0).shape == (30, 39, 3)


def test_squares_hold_what_anchors_learn(boxed: BoxedPhotographs) -> None:
    """Whole photographs in squares, mirrored or not, with their boxes."""
    recipe = TaskRecipe(epochs=1, crop_px=2 * WIDTH)
    random = np.random.default_rng(0)
    rows = np.repeat(ROWS, 3)
    batch = Detection(SPEC).batch(boxed, rows, recipe, random)
    for row, x, labels, offsets in zip(rows, *batch, strict=True):
        logits = np.where(labels[:, None] == np.arange(2), 5.0, -9.0)
        answer = np.concatenate([logits, offsets], 1)
        found = detected(answer, SPEC, 2 * WIDTH, 2 * WIDTH)
        boxes, classes = boxed.boxes(row)
        assert list(found.classes) == list(classes)
        left, top, right, bottom = (round(float(n)) for n in found.boxes[0])
        inside = x[top + 1 : bottom - 1, left + 1 : right - 1, 0]
        assert inside.min() > 0.5  # bright, wherever it was put
        size = 2 * (boxes[0, 2:] - boxes[0, :2])
        np.testing.assert_allclose([right - left, bottom - top], size, atol=1)
        assert (x[2 * HEIGHT :] == 0).all()


def test_mean_average_precision_by_hand(boxed: BoxedPhotographs) -> None:
    rows = list(ROWS)
    assert box_map(boxed, rows, annotated(boxed)) == pytest.approx(1)
    # Moved by a fifth: IoU 2/3 passes .5, .55, .6 and .65 of the ten thresholds.
    moved = annotated(boxed, 0.2)
    assert box_map(boxed, rows, moved) == pytest.approx(0.4)
    other = [dataclasses.replace(each, classes=1 - each.classes) for each in moved]
    assert box_map(boxed, rows, other) == 0
    none = np.zeros((0, 4), np.float32)
    nothing = [Detections(none, none[:, 0], none[:, 0].astype(np.int32))] * len(ROWS)
    assert box_map(boxed, rows, nothing) == 0


def test_no_false_alarm_lies_in_a_crowd(boxed: BoxedPhotographs) -> None:
    region = np.asarray([[0, 0, 12, 6]], np.float32)
    found = annotated(boxed)
    best, classes = np.asarray([0.99, 0.9], np.float32), found[0].classes
    found[0] = Detections(
        np.concatenate([region, found[0].boxes]), best, classes.repeat(2)
    )
    rows = list(ROWS)
    assert box_map(boxed, rows, found) < 0.95
    crowd = BoxAnnotation((0, 0, 30, 10), 300, 7, is_crowd=True)
    first, *rest = boxed.annotations
    crowded = dataclasses.replace(boxed, annotations=((*first, crowd), *rest))
    assert box_map(crowded, rows, found) == pytest.approx(1)
    alone = dataclasses.replace(boxed, annotations=((crowd,), *rest))
    with pytest.raises(DataError, match="where a thing is annotated"):
        box_map(alone, [0], found[:1])


def test_what_cannot_be_is_refused(
    boxed: BoxedPhotographs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="first_stage is 1 to 4; got 5"):
        RetinaNetSpec(backbone=ResNetSpec(classes=2), first_stage=5)
    with pytest.raises(ConfigError, match="detector is not dilated"):
        RetinaNetSpec(backbone=ResNetSpec(classes=2, dilated=True))
    three = RetinaNetSpec(backbone=ResNetSpec(classes=3))
    network = build(three, ParameterFactory(0))
    with pytest.raises(ConfigError, match="have 2 classes, as the network; got 3"):
        train_network(network, boxed, ROWS, TaskRecipe(epochs=1), 0, tmp_path)
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(ConfigError, match=r"Install the extra.*rdc-frontier\[tasks\]"):
        box_map(boxed, list(ROWS), annotated(boxed))
