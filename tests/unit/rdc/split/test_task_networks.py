"""Segmentations and detectors are cut as classifiers are, from real bytes."""

from __future__ import annotations

import numpy as np
import pytest

from rdc.codec.classical import ClassicalCodec
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.layers import ParameterFactory
from rdc.specs.classical import ClassicalSpec
from rdc.split.base import front_bits
from rdc.split.inputs import InputCompression
from rdc.split.latents import placement
from rdc.tasks.deeplab import DeepLab, DeepLabSpec
from rdc.tasks.networks import answering
from rdc.tasks.resnet import ResNet, ResNetSpec
from rdc.tasks.segmentation import segmented

WIDTHS = (4, 4, 4, 5)
STAGES = ResNetSpec(classes=3, widths=WIDTHS, dilated=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 45, 3), np.uint8)


@pytest.fixture(scope="module")
def deeplab() -> DeepLab:
    return DeepLab(DeepLabSpec(backbone=STAGES, head_channels=4), ParameterFactory(0))


def test_segmentations_answer_from_bytes(deeplab: DeepLab, image: np.ndarray) -> None:
    codec = ClassicalCodec(ClassicalSpec(name="jpeg"))
    method = InputCompression("jpeg", codec, 3, deeplab)
    data = method.encode(image)
    logits = method.answer(data)
    assert logits.shape == (5, 6, 3)
    assert segmented(logits, 37, 45).shape == (37, 45)
    np.testing.assert_allclose(
        logits, answering(deeplab)(codec.decode(data)), rtol=1e-4, atol=1e-5
    )
    assert method.tail_macs(37, 45) > 0


@pytest.mark.parametrize("stage", [1, 4])
def test_segmentations_are_cut(deeplab: DeepLab, image: np.ndarray, stage: int) -> None:
    prior = FactorizedPrior(ParameterFactory(0), WIDTHS[stage - 1])
    method = placement(deeplab, stage, prior, "beta=1")
    data = method.encode(image)
    assert method.answer(data).shape == (5, 6, 3)
    # The device's part is as large as that of a classifier, wherever it lies.
    assert front_bits(deeplab, stage) == front_bits(
        ResNet(STAGES, ParameterFactory(1)), stage
    )
