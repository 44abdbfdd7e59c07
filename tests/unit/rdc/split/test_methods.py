"""Every split method: real bytes, read elsewhere, refused when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.codec import Codec
from rdc.codec.classical import ClassicalCodec
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.errors import BitstreamError, ConfigError, DataError, StorageError
from rdc.layers import ParameterFactory
from rdc.specs.classical import ClassicalSpec
from rdc.split import student as students
from rdc.split.base import PARAMETER_BITS, SplitMethod, Tail
from rdc.split.features import FeatureCompression
from rdc.split.inputs import InputCompression
from rdc.split.latents import LatentMethod, placement
from rdc.split.measures import Labelled, measure
from rdc.split.specs import StudentSpec
from rdc.split.student import Student
from tests.modules import REPOSITORY
from tests.unit.rdc.split.teacher import CHANNELS, CLASSES, SmallTeacher

SPEC = StudentSpec(
    encoder_channels=(6, 5),
    latent_channels=4,
    decoder_channels=(7, 6),
    feature_channels=CHANNELS,
)
NAMES = ["student", "placement", "features_jpeg", "jpeg"]


@pytest.fixture(scope="module")
def teacher() -> SmallTeacher:
    return SmallTeacher()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 60, (37, 45, 3))
    rows, columns = np.mgrid[:37, :45]
    return (noise + np.stack([rows * 5, columns * 4, rows + columns], -1)).astype("u1")


def lively_student() -> Student:
    """Latents of a few units."""
    student = Student(SPEC, ParameterFactory(1))
    last = student.encoder.layers[-1]
    last.kernel.set_value(last.kernel[...] * 20)
    return student


@pytest.fixture(scope="module")
def methods(teacher: SmallTeacher) -> dict[str, SplitMethod]:
    jpeg = ClassicalCodec(ClassicalSpec(name="jpeg"))
    found: list[SplitMethod] = [
        lively_student().method(teacher, "beta=1"),
        placement(teacher, 2, FactorizedPrior(ParameterFactory(0), CHANNELS), "beta=1"),
        FeatureCompression(jpeg, 3, teacher, 1),
        InputCompression("jpeg", jpeg, 3, teacher),
    ]
    return {method.name: method for method in found}


@pytest.mark.parametrize("name", NAMES)
def test_answers_come_from_the_bytes(
    methods: dict[str, SplitMethod], name: str, image: np.ndarray
) -> None:
    method = methods[name]
    data = method.encode(image)
    features = method.decode_features(data)
    assert features.shape == (1, *method.feature_shape(*image.shape[:2]))
    assert method.answer(data).shape == (CLASSES,)
    assert method.encode(image) == data
    for damaged in (b"", data[:-1], b"x" + data):
        with pytest.raises(BitstreamError):
            method.answer(damaged)


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_changed_byte_and_a_foreign_stream_are_refused(
    methods: dict[str, SplitMethod], name: str, image: np.ndarray
) -> None:
    data = bytearray(methods[name].encode(image))
    foreign = methods[NAMES[(NAMES.index(name) + 1) % 3]]
    with pytest.raises(BitstreamError, match="model that wrote it"):
        foreign.answer(bytes(data))
    data[len(data) // 2] ^= 1
    with pytest.raises(BitstreamError, match="whole and unchanged"):
        methods[name].answer(bytes(data))


def test_latents_survive_and_cost_what_the_prior_says(
    methods: dict[str, SplitMethod],
) -> None:
    method = methods["student"]
    assert isinstance(method, LatentMethod)
    large = np.random.default_rng(1).integers(0, 256, (384, 384, 3), np.uint8)
    symbols, data = method.symbols(large), method.encode(large)
    assert len(np.unique(symbols)) > 3
    np.testing.assert_array_equal(method.decode_latents(data), symbols)
    container = 24  # docs/format.md
    assert 8 * (len(data) - container) == pytest.approx(
        method.bits_estimated(large), rel=0.005
    )


def test_another_decoder_leaves_the_streams_as_they_are(
    teacher: SmallTeacher, methods: dict[str, SplitMethod], image: np.ndarray
) -> None:
    """As the second stage of the student's training gives it."""
    student = lively_student()
    first = student.decoder.layers[0]
    first.kernel.set_value(first.kernel[...] * 2)
    second = student.method(teacher, "beta=1")
    data = methods["student"].encode(image)
    assert second.encode(image) == data
    assert not np.array_equal(second.answer(data), methods["student"].answer(data))


def test_another_process_gives_the_same_answer(
    teacher: SmallTeacher,
    methods: dict[str, SplitMethod],
    image: np.ndarray,
    tmp_path: Path,
) -> None:
    method = methods["student"]
    assert isinstance(method, LatentMethod)
    students.save(lively_student(), method, tmp_path)
    data = method.encode(image)
    (tmp_path / "stream").write_bytes(data)
    program = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from rdc.split.student import load;"
        "from tests.unit.rdc.split.teacher import SmallTeacher;"
        "folder = Path(sys.argv[1]);"
        "answer = load(folder, SmallTeacher()).answer("
        "(folder / 'stream').read_bytes());"
        "np.save(folder / 'answer.npy', answer)"
    )
    subprocess.run(
        [sys.executable, "-c", program, tmp_path], check=True, cwd=REPOSITORY
    )
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), method.answer(data))
    weights = tmp_path / students.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(StorageError, match="belong together"):
        students.load(tmp_path, teacher)


def test_features_are_near_those_of_the_teacher(
    teacher: SmallTeacher, image: np.ndarray
) -> None:
    """The largest quality: what is left is the 8 bits and JPEG's own rounding."""
    # Three channels of features are no luma and chroma: 4:2:0 would lose most.
    spec = ClassicalSpec(name="jpeg", settings=(100,), subsampling="4:4:4")
    method = FeatureCompression(ClassicalCodec(spec), 0, teacher, 1)
    x = jnp.asarray(image[None] / 255, jnp.float32)
    features = np.asarray(teacher.stage(1, teacher.stem(x)))
    error = np.abs(method.decode_features(method.encode(image)) - features)
    assert error.mean() < 0.02 * np.ptp(features)


def test_sizes_are_null_where_there_is_none(
    teacher: SmallTeacher, methods: dict[str, SplitMethod], codec: Codec
) -> None:
    assert methods["jpeg"].encoder_bits is None
    assert methods["jpeg"].encoder_macs(32, 32) is None
    learned = InputCompression("learned", codec, 0, teacher)
    cost = codec.cost()
    assert cost is not None
    # Everything but the synthesis: the encoder needs the entropy parameters, too.
    synthesis = [p for p in cost.by_component if p.component == "synthesis_transform"]
    params = cost.params_total - synthesis[0].params
    assert learned.encoder_bits == PARAMETER_BITS * params
    first = 9 * 3 * CHANNELS + CHANNELS
    other = 9 * CHANNELS**2 + CHANNELS
    assert methods["features_jpeg"].encoder_bits == 32 * (first + 2 * other)


def test_measures(
    teacher: SmallTeacher, methods: dict[str, SplitMethod], image: np.ndarray
) -> None:
    method = methods["student"]
    data = method.encode(image)
    logits = method.answer(data)
    own, other = int(logits.argmax()), int(logits.argmin())
    rows = [Labelled(image=image, label=own, teacher_logits=logits)] * 3
    rows.append(Labelled(image=image, label=other, teacher_logits=logits))
    found = measure(method, rows)
    assert (found.image_count, found.metric, found.distortion) == (4, 0.75, 0.25)
    assert found.bytes_per_datum == len(data)
    assert found.bpp == pytest.approx(8 * len(data) / (37 * 45))
    assert (found.teacher_agreement, found.kl) == (1, 0)
    assert found.se == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert found.encoder_bits is not None
    assert found.exr == found.encoder_bits * len(data)
    x = image[None].astype(np.float32) / 255
    reference = np.asarray(Tail(teacher, 0)(x))[0]
    apart = measure(method, [Labelled(image=image, label=0, teacher_logits=reference)])
    assert apart.kl > 0
    jpeg = measure(methods["jpeg"], rows[:1])
    assert jpeg.exr is jpeg.encoder_bits is jpeg.encoder_kmacs_per_px is None
    with pytest.raises(DataError, match="labels are 0 to 2"):
        measure(method, [Labelled(image=image, label=3, teacher_logits=logits)])
    with pytest.raises(DataError, match="at least one"):
        measure(method, [])


def test_what_cannot_be_is_refused(
    teacher: SmallTeacher, methods: dict[str, SplitMethod], image: np.ndarray
) -> None:
    prior = FactorizedPrior(ParameterFactory(0), CHANNELS)
    with pytest.raises(ConfigError, match="stages 1 to 4; got 5"):
        placement(teacher, 5, prior, "")
    with pytest.raises(DataError, match="one latent"):
        methods["student"].encode(image[:4, :4])
    with pytest.raises(DataError, match="uint8"):
        methods["student"].encode(image[..., 0])
    with pytest.raises(ConfigError, match="channels are positive"):
        StudentSpec(latent_channels=0)
