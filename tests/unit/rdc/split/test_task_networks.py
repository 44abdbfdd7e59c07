"""Task networks are cut between any two of their stages, from real bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from rdc.codec.classical import ClassicalCodec
from rdc.codec.exported import named_weights
from rdc.complexity import count_network
from rdc.errors import ConfigError
from rdc.layers import ParameterFactory
from rdc.specs.classical import ClassicalSpec
from rdc.specs.task_networks import DeepLabSpec, ResNetSpec, RetinaNetSpec
from rdc.split import folders
from rdc.split.base import Front, Tail, compiled, front_bits, network_input
from rdc.split.inputs import InputCompression
from rdc.split.latents import LatentMethod
from rdc.split.network_specs import PlacementSpec
from rdc.split.placement import Placement
from rdc.tasks import teachers
from rdc.tasks.boxes import anchors_of
from rdc.tasks.deeplab import DeepLab
from rdc.tasks.detection import detected
from rdc.tasks.networks import TaskNetwork, answering
from rdc.tasks.resnet import ResNet
from rdc.tasks.retinanet import RetinaNet
from rdc.tasks.segmentation import segmented

WIDTHS = (4, 4, 4, 5)
STAGES = ResNetSpec(classes=3, widths=WIDTHS, dilated=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 45, 3), np.uint8)


@pytest.fixture(scope="module")
def deeplab() -> DeepLab:
    return DeepLab(DeepLabSpec(backbone=STAGES, head_channels=4), ParameterFactory(0))


def placed(teacher: TaskNetwork, stage: int) -> LatentMethod:
    """A prior on the output of a stage, or of a classifier's pooling, 5."""
    spec = PlacementSpec(stage=stage, channels=(*WIDTHS, WIDTHS[-1])[stage - 1])
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


def test_classifiers_are_cut_after_their_pooling(
    deeplab: DeepLab, image: np.ndarray, tmp_path: Path
) -> None:
    """One value a channel, whatever the photograph's size; fc alone on the server."""
    spec = ResNetSpec(classes=3, widths=WIDTHS)
    classifier = ResNet(spec, ParameterFactory(0))
    classifier.fc.kernel.set_value(100 * classifier.fc.kernel[...])
    networks = Placement(
        PlacementSpec(stage=5, channels=WIDTHS[-1]), ParameterFactory(0)
    )
    method = networks.method(classifier, "stage=5")
    data = method.encode(image)
    assert method.decode_features(data).shape == (1, 1, 1, WIDTHS[-1])
    assert method.feature_shape(300, 200) == (1, 1, WIDTHS[-1])
    whole = count_network(Tail(classifier, 0), (*image.shape[:2], 3))
    assert method.tail_macs(*image.shape[:2]) == WIDTHS[-1] * 3
    assert method.encoder_macs(*image.shape[:2]) == whole.macs - WIDTHS[-1] * 3
    prior = WIDTHS[-1] * 28
    fc = WIDTHS[-1] * 3 + 3
    sizes = (value.size for value in named_weights(nnx.state(classifier)).values())
    assert method.encoder_bits == 32 * (sum(sizes) - fc + prior)
    with pytest.raises(ConfigError, match=r"its stages 1 to 4, whose output.* got 5"):
        placed(deeplab, 5)

    teachers.save(classifier, ("a", "b", "c"), {}, tmp_path / "teacher")
    folders.save(networks, method, tmp_path / "method", classifier)
    (tmp_path / "stream").write_bytes(data)
    program = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from rdc.split import folders; from rdc.tasks import teachers;"
        "at = Path(sys.argv[1]); teacher = teachers.load(at / 'teacher').network;"
        "answer = folders.load(at / 'method', teacher).answer("
        "(at / 'stream').read_bytes()); np.save(at / 'answer.npy', answer)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    elsewhere = np.load(tmp_path / "answer.npy")
    np.testing.assert_allclose(elsewhere, method.answer(data), rtol=1e-5, atol=1e-6)


def test_detectors_are_cut_where_the_pyramid_begins_or_before(
    image: np.ndarray,
) -> None:
    backbone = ResNetSpec(classes=3, widths=WIDTHS)
    spec = RetinaNetSpec(backbone=backbone, pyramid_channels=4)
    detector = RetinaNet(spec, ParameterFactory(0))
    anchors = sum(map(len, anchors_of(spec, *image.shape[:2])))
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
