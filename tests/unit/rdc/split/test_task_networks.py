"""Segmentations and detectors are cut as classifiers are, from real bytes."""

from __future__ import annotations

import numpy as np
import pytest

from rdc.codec.classical import ClassicalCodec
from rdc.errors import ConfigError
from rdc.layers import ParameterFactory
from rdc.specs.classical import ClassicalSpec
from rdc.specs.tasks import ResNetSpec
from rdc.split.base import Front, Tail, compiled, front_bits, network_input
from rdc.split.inputs import InputCompression
from rdc.split.latents import LatentMethod
from rdc.split.network_specs import PlacementSpec
from rdc.split.placement import Placement
from rdc.tasks.deeplab import DeepLab, DeepLabSpec
from rdc.tasks.detection import detected
from rdc.tasks.networks import answering
from rdc.tasks.resnet import ResNet
from rdc.tasks.retinanet import RetinaNet, RetinaNetSpec
from rdc.tasks.segmentation import segmented

WIDTHS = (4, 4, 4, 5)
STAGES = ResNetSpec(classes=3, widths=WIDTHS, dilated=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 45, 3), np.uint8)


@pytest.fixture(scope="module")
def deeplab() -> DeepLab:
    return DeepLab(DeepLabSpec(backbone=STAGES, head_channels=4), ParameterFactory(0))


def placed(teacher: DeepLab | RetinaNet, stage: int) -> LatentMethod:
    """A prior on the output of a stage."""
    spec = PlacementSpec(stage=stage, channels=WIDTHS[stage - 1])
    return Placement(spec, ParameterFactory(0)).method(teacher, "beta=1")


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
    method = placed(deeplab, stage)
    data = method.encode(image)
    assert method.answer(data).shape == (5, 6, 3)
    # The device's part is as large as that of a classifier, wherever it lies.
    assert front_bits(deeplab, stage) == front_bits(
        ResNet(STAGES, ParameterFactory(1)), stage
    )


def test_detectors_are_cut_where_the_pyramid_begins_or_before(
    image: np.ndarray,
) -> None:
    backbone = ResNetSpec(classes=3, widths=WIDTHS)
    spec = RetinaNetSpec(backbone=backbone, pyramid_channels=4)
    detector = RetinaNet(spec, ParameterFactory(0))
    anchors = sum(map(len, spec.anchors(*image.shape[:2])))
    # Behind stage 2, the pyramid's finest level comes off the stream itself.
    method = placed(detector, 2)
    answer = method.answer(method.encode(image))
    assert answer.shape == (anchors, 3 + 4)
    assert detected(answer, spec, *image.shape[:2]).boxes.shape[1] == 4
    assert front_bits(detector, 2) == front_bits(
        ResNet(backbone, ParameterFactory(1)), 2
    )
    with pytest.raises(ConfigError, match=r"its stages 1 to 2, whose output.* got 3"):
        placed(detector, 3)


def test_every_cut_gives_the_whole_networks_answer(image: np.ndarray) -> None:
    """A detector with the coarsest pyramid may be cut behind any stage."""
    spec = RetinaNetSpec(
        backbone=ResNetSpec(classes=3, widths=WIDTHS), pyramid_channels=4, first_stage=4
    )
    detector = RetinaNet(spec, ParameterFactory(0))
    whole = answering(detector)(image)
    for stage in (1, 4):
        features = compiled(Front(detector, stage))(network_input(image))
        answer = compiled(Tail(detector, stage + 1))(features)
        np.testing.assert_allclose(answer[0], whole, rtol=1e-4, atol=1e-5)
