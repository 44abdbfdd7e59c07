"""A tiny segmentation: torchvision's sizes, and rectangles that it learns to find."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.codec.exported import named_weights
from rdc.complexity import count_network
from rdc.errors import ConfigError
from rdc.layers import ParameterFactory
from rdc.specs.task_networks import DeepLabSpec, ResNetSpec, deeplab_resnet50
from rdc.specs.tasks import OptimizerSpec, TaskRecipe
from rdc.tasks.deeplab import DeepLab, upsampled
from rdc.tasks.networks import answering, build
from rdc.tasks.segmentation import Segmentation, pixel_entropy, segmented
from rdc.tasks.teachers import load, save
from rdc.tasks.training import train_network
from rdc.tasks.voc import MaskedPhotographs, masked_photographs
from tests.unit.rdc.tasks.pictures import HEIGHT, WIDTH, write_voc

SPEC = DeepLabSpec(
    backbone=ResNetSpec(classes=2, widths=(6, 6, 8, 8), dilated=True),
    head_channels=8,
    auxiliary=True,
)
ROWS = np.arange(6)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> MaskedPhotographs:
    root = tmp_path_factory.mktemp("voc")
    write_voc(root, len(ROWS))
    return masked_photographs(root, "train", 2)


def iou(masked: MaskedPhotographs, answers: list[np.ndarray]) -> float:
    scores = Segmentation(SPEC).scores(masked)
    for i, answer in enumerate(answers):
        found = scores.answered(i, masked.image(i), answer, answer, 1)
        assert (found.label, found.agreement, found.kl_nats) == (None, 1, 0)
    value = scores.metric()
    assert value is not None
    return value


def test_deeplab_is_torchvisions() -> None:
    """DeepLabV3_ResNet50_Weights: 42 004 074 parameters, 178.722 G at 520 px."""
    network = DeepLab(deeplab_resnet50(), ParameterFactory(None))
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == 42_004_074
    names = set(named_weights(nnx.state(network)))
    assert {
        "backbone.layer3.0.downsample.1.running_var",
        "classifier.0.convs.0.0.kernel",
        "classifier.0.convs.4.2.weight",
        "classifier.0.project.1.bias",
        "classifier.1.kernel",
        "classifier.4.bias",
        "aux_classifier.4.kernel",
    } <= names
    cost = count_network(network, (520, 520, 3))
    assert cost.output_shape == (65, 65, 21)
    assert round(cost.macs / 1e9, 3) == 178.722


def test_answers_grow_between_centres_of_pixels() -> None:
    row = jnp.asarray([0.0, 1.0])[None, None, :, None]
    found = upsampled(row, 1, 4)[0, 0, :, 0]
    np.testing.assert_allclose(found, [0, 0.25, 0.75, 1])
    assert upsampled(jnp.zeros((1, 5, 7, 2)), 37, 52).shape == (1, 37, 52, 2)


def test_void_pixels_have_no_loss() -> None:
    y = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype(np.float32)
    mask = np.asarray([[[255, 2], [0, 255]]], np.uint8)
    shares = np.exp(y) / np.exp(y).sum(-1, keepdims=True)
    by_hand = -(math.log(shares[0, 0, 1, 2]) + math.log(shares[0, 1, 0, 0])) / 2
    assert float(pixel_entropy(jnp.asarray(y), mask)) == pytest.approx(by_hand)
    assert pixel_entropy(jnp.asarray(y), np.full_like(mask, 255)) == 0


def test_the_auxiliary_classifier_counts_by_half() -> None:
    logits, auxiliary = jnp.zeros((1, 2, 2, 2)), jnp.zeros((1, 2, 2, 8))

    class Answers:
        def with_auxiliary(self, _x: None) -> tuple[jax.Array, ...]:
            return logits, auxiliary

    network: Any = Answers()
    batch = (None, np.zeros((1, 4, 4), np.uint8))
    task = Segmentation(SPEC)
    found = float(task.network_loss(network, batch, jax.random.key(0)))
    assert found == pytest.approx(math.log(2) + 0.5 * math.log(8))


def test_rectangles_are_learned_and_kept(
    masked: MaskedPhotographs, tmp_path: Path
) -> None:
    recipe = TaskRecipe(
        epochs=40 * 4 / len(ROWS),
        batch=4,
        crop_px=48,
        optimizer=OptimizerSpec(learning_rate=0.01, decay="poly"),
    )
    network = train_network(
        build(SPEC, ParameterFactory(0)), masked, ROWS, recipe, 0, tmp_path / "at"
    )
    teacher = save(network, ("background", "rectangle"), {}, tmp_path)
    loaded = load(tmp_path)
    assert (loaded.teacher_id, loaded.network.spec) == (teacher.teacher_id, SPEC)
    answer = answering(loaded.network)
    assert answer(masked.image(0)).shape == (HEIGHT // 8, math.ceil(WIDTH / 8), 2)
    assert iou(masked, [answer(masked.image(i)) for i in ROWS]) > 0.75


def test_perfect_and_shifted_answers(masked: MaskedPhotographs) -> None:
    """By hand: one row and one column of the frame are void, so a shift by two."""

    def of(shift: int) -> float:
        answers = []
        for i in ROWS:
            mask = np.roll(masked.mask(i) == 1, shift, 1)
            answers.append(np.stack([~mask, mask], -1).astype(np.float32))
            np.testing.assert_array_equal(segmented(answers[-1], HEIGHT, WIDTH), mask)
        return iou(masked, answers)

    assert of(0) == 1
    truth = [masked.mask(i) for i in ROWS]
    widths = [np.flatnonzero((m == 1).any(0)).size for m in truth]
    heights = [np.flatnonzero((m == 1).any(1)).size for m in truth]
    objects = sum(w * h for w, h in zip(widths, heights, strict=True))
    ground = sum(int((m == 0).sum()) for m in truth)
    # Of two columns that leave a rectangle, one is void and one hits the background.
    missed, false = 2 * sum(heights), sum(heights)
    expected = (objects - missed) / (objects + false)
    expected += (ground - false) / (ground + missed)
    assert of(2) == pytest.approx(expected / 2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="backbone of a segmentation is dilated"):
        DeepLabSpec(backbone=ResNetSpec(classes=2))


def test_photographs_and_masks_are_scaled_alike(masked: MaskedPhotographs) -> None:
    task = Segmentation(SPEC, answered_px=20)
    image, mask = task.image(masked, 1), task.mask(masked, 1)
    assert image.shape == (*mask.shape, 3) == (20, 26, 3)
    bright = image.sum(-1) > 250  # an odd one's rectangle is red
    assert (bright & (mask == 0)).mean() < 0.02
    truth = np.stack([mask != 1, mask == 1], -1).astype(np.float32)
    other = 1 - truth
    scores = task.scores(masked)
    found = scores.answered(1, image, truth, other, 7)
    assert (found.bytes, found.height_px, found.agreement) == (7, 20, 0)
    assert found.kl_nats is not None
    assert found.kl_nats > 0.1
    assert scores.metric() == 1


def test_squares_hold_their_masks(masked: MaskedPhotographs) -> None:
    recipe = TaskRecipe(epochs=1, crop_px=64)
    random = np.random.default_rng(0)
    x, masks = Segmentation(SPEC).batch(masked, np.repeat(ROWS, 4), recipe, random)
    assert x.shape == (24, 64, 64, 3)
    assert masks.shape == (24, 64, 64)
    red = (x[..., 0] > 0.6) & (x[..., 1] < 0.3)  # of odd photographs
    odd = np.repeat(ROWS, 4) % 2 == 1
    assert (masks[odd][red[odd]] != 0).mean() > 0.9
    beyond = (x == 0).all(-1)
    assert (masks[beyond] == 255).mean() > 0.9
