"""Every split method: real bytes, read elsewhere, refused when damaged."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.codec import Codec
from rdc.codec.classical import ClassicalCodec
from rdc.codec.container import unpack
from rdc.errors import BitstreamError, ConfigError, DataError, StorageError
from rdc.layers import ParameterFactory
from rdc.specs.classical import ClassicalSpec
from rdc.split.base import PARAMETER_BITS, SplitMethod, Tail
from rdc.split.features import FeatureCompression
from rdc.split.folders import WEIGHTS_FILE, load, save
from rdc.split.inputs import InputCompression
from rdc.split.latents import LatentMethod
from rdc.split.measures import Asked, measure
from rdc.split.network_specs import PlacementSpec, ReductionSpec, StudentSpec
from rdc.split.placement import Placement
from rdc.split.priors import ExactPrior
from rdc.split.reduction import Reduction, quantised, restored
from rdc.split.student import Student
from rdc.tasks.base import Scores
from rdc.tasks.classification import Classification
from rdc.tasks.labelled import LabelledPhotographs
from tests.modules import REPOSITORY
from tests.unit.rdc.split.teacher import CHANNELS, CLASSES, SmallTeacher

SPEC = StudentSpec(
    encoder_channels=(6, 5),
    latent_channels=4,
    decoder_channels=(7, 6),
    feature_channels=CHANNELS,
)
REDUCTION = ReductionSpec.before(CHANNELS, 6, bottleneck_channels=2)
NAMES = ["student", "mshp", "placement", "reduction", "features_jpeg", "jpeg"]


@pytest.fixture(scope="module")
def teacher() -> SmallTeacher:
    return SmallTeacher()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 60, (37, 45, 3))
    rows, columns = np.mgrid[:37, :45]
    return (noise + np.stack([rows * 5, columns * 4, rows + columns], -1)).astype("u1")


def lively_student(hyper_channels: int | None = None) -> Student:
    """Latents of a few units; under a hyperprior, fewer, as its scales are about 1."""
    spec = replace(SPEC, hyper_channels=hyper_channels)
    student = Student(spec, ParameterFactory(1))
    last = student.encoder.layers[-1]
    last.kernel.set_value(last.kernel[...] * (5 if hyper_channels else 20))
    if student.prior.hyper_synthesis is not None:
        scales = student.prior.hyper_synthesis.layers[-1]
        scales.kernel.set_value(scales.kernel[...] * 0.1)
    return student


@pytest.fixture(scope="module")
def methods(teacher: SmallTeacher) -> dict[str, SplitMethod]:
    jpeg = ClassicalCodec(ClassicalSpec(name="jpeg"))
    found: list[SplitMethod] = [
        lively_student().method(teacher, "beta=1"),
        lively_student(5).method(teacher, "beta=1", "mshp"),
        Placement(
            PlacementSpec(stage=2, channels=CHANNELS), ParameterFactory(0)
        ).method(teacher, "beta=1"),
        Reduction(REDUCTION, ParameterFactory(0)).method(teacher, "channels=2"),
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


@pytest.mark.parametrize("name", NAMES[:5])
def test_a_changed_byte_and_a_foreign_stream_are_refused(
    methods: dict[str, SplitMethod], name: str, image: np.ndarray
) -> None:
    data = bytearray(methods[name].encode(image))
    foreign = methods[NAMES[(NAMES.index(name) + 1) % 5]]
    with pytest.raises(BitstreamError, match="model that wrote it"):
        foreign.answer(bytes(data))
    data[len(data) // 2] ^= 1
    with pytest.raises(BitstreamError, match="whole and unchanged"):
        methods[name].answer(bytes(data))


@pytest.mark.parametrize("name", ["student", "mshp"])
def test_latents_survive_and_cost_what_the_prior_says(
    methods: dict[str, SplitMethod], name: str
) -> None:
    method = methods[name]
    assert isinstance(method, LatentMethod)
    large = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    y_hat, data = method.latents(large), method.encode(large)
    assert len(np.unique(np.rint(y_hat))) > 3
    np.testing.assert_array_equal(method.decode_latents(data), y_hat)
    container = 24  # docs/format.md
    assert 8 * (len(data) - container) == pytest.approx(
        method.bits_estimated(large), rel=0.005
    )


def test_tables_of_the_hyperprior_are_made_of_integers(image: np.ndarray) -> None:
    """Multiples of 2^-16, near to what floating point says."""
    prior = lively_student(5).prior
    y = np.random.default_rng(0).normal(0, 30, (1, 9, 14, 4)).astype(np.float32)
    z_hat = np.rint(prior.latents(jnp.asarray(y))["z"])
    exact = ExactPrior(prior).sized(9, 14).features(z_hat)
    assert exact.mean.shape == y.shape
    np.testing.assert_array_equal(exact.mean * 2**16, np.rint(exact.mean * 2**16))
    sized = prior.sized(9, 14)
    native = sized.coding_steps()[1].parameters(sized.features(z_hat), None)
    assert np.ptp(native.mean) > 0.1
    np.testing.assert_allclose(exact.mean, native.mean, atol=1e-3)
    np.testing.assert_allclose(exact.scale_index, native.scale_index, atol=1e-2)


def test_one_byte_a_value(methods: dict[str, SplitMethod], image: np.ndarray) -> None:
    method = methods["reduction"]
    container, quantisation = 22, 5  # one byte a side below 128 px; docs/format.md
    positions = (math.ceil(37 / 4) + 4) * (math.ceil(45 / 4) + 4)
    assert len(method.encode(image)) == container + quantisation + 2 * positions


def test_eight_bits_span_what_there_is() -> None:
    x = np.random.default_rng(0).normal(0.3, 2, (1, 7, 8, 3)).astype(np.float32)
    scale, zero_point, levels = quantised(x)
    assert scale == pytest.approx(np.ptp(x) / 255)
    assert (levels.min(), levels.max()) in {(0, 254), (0, 255), (1, 255)}
    assert np.abs(restored(scale, zero_point, levels) - x).max() <= 1.01 * scale
    flat = np.full((1, 2, 2, 1), 1.5, np.float32)
    assert np.isfinite(restored(*quantised(flat))).all()


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


def test_another_process_gives_the_same_answers(
    teacher: SmallTeacher,
    methods: dict[str, SplitMethod],
    image: np.ndarray,
    tmp_path: Path,
) -> None:
    """One of one thread, where this one has several."""
    kept = {
        "student": lively_student(),
        "mshp": lively_student(5),
        "reduction": Reduction(REDUCTION, ParameterFactory(0)),
    }
    for name, networks in kept.items():
        save(networks, methods[name], tmp_path / name, teacher)
        (tmp_path / name / "stream").write_bytes(methods[name].encode(image))
    program = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from rdc.split.folders import load;"
        "from tests.unit.rdc.split.teacher import SmallTeacher;"
        "folders = list(map(Path, sys.argv[1:]));"
        "answers = [load(folder, SmallTeacher()).answer("
        "(folder / 'stream').read_bytes()) for folder in folders];"
        "np.save(folders[0] / 'answers.npy', answers)"
    )
    places = [tmp_path / name for name in kept]
    subprocess.run(
        [sys.executable, "-c", program, *places],
        check=True,
        cwd=REPOSITORY,
        env=os.environ | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
    )
    for name, answer in zip(kept, np.load(places[0] / "answers.npy"), strict=True):
        here = methods[name].answer((tmp_path / name / "stream").read_bytes())
        np.testing.assert_allclose(answer, here, rtol=1e-5, atol=1e-6)


def test_folders_hold_what_changed_of_the_teacher(
    teacher: SmallTeacher, image: np.ndarray, tmp_path: Path
) -> None:
    changed = SmallTeacher()
    changed.fc.set_value(changed.fc[...] + 1)
    networks = lively_student()
    method = networks.method(changed, "beta=1", "end_to_end")
    save(networks, method, tmp_path, teacher, changed, {"seed": 7})
    with np.load(tmp_path / WEIGHTS_FILE) as file:
        assert [n for n in file if n.startswith("teacher.")] == ["teacher.fc"]
    data = method.encode(image)
    loaded = load(tmp_path, teacher)
    assert (loaded.name, loaded.setting) == ("end_to_end", "beta=1")
    np.testing.assert_array_equal(loaded.answer(data), method.answer(data))
    with pytest.raises(ConfigError, match="the teacher it was trained with"):
        load(tmp_path, SmallTeacher(None, ParameterFactory(1)))
    weights = tmp_path / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(StorageError, match="belong together"):
        load(tmp_path, teacher)
    with pytest.raises(ConfigError, match=r"a folder with split\.json"):
        load(tmp_path / "nothing", teacher)


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


def test_codecs_of_other_settings_are_other_methods(teacher: SmallTeacher) -> None:
    """Also where each is the only one of its codec, and so has the same number."""
    specs = [ClassicalSpec(name="jpeg", settings=(q,)) for q in (5, 50)]
    five, fifty = map(ClassicalCodec, specs)
    assert (
        InputCompression("jpeg", five, 0, teacher).method_id
        != InputCompression("jpeg", fifty, 0, teacher).method_id
    )
    assert (
        FeatureCompression(five, 0, teacher, 1).method_id
        != FeatureCompression(fifty, 0, teacher, 1).method_id
    )


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
    x = image[None].astype(np.float32) / 255
    reference = np.asarray(Tail(teacher, 0)(x))[0]
    first = Asked(row=0, image=image, teacher_answer=logits)
    second = Asked(row=1, image=image, teacher_answer=reference)

    def scores(*labels: int) -> Scores:
        names = ("a", "b")[: len(labels)]
        known = LabelledPhotographs(Path(), names, np.asarray(labels), ("x", "y", "z"))
        return Classification(teacher.spec).scores(known)

    found = measure(method, [first, second], scores(own, other))
    assert found.set_metric is None
    agrees, apart = found.answers
    assert (agrees.photograph, agrees.label, agrees.answer) == ("a", own, own)
    assert (agrees.teacher_answer, agrees.kl_nats) == (own, 0)
    assert (agrees.bytes, agrees.height_px, agrees.width_px) == (len(data), 37, 45)
    assert (apart.label, apart.teacher_answer) == (other, reference.argmax())
    assert apart.kl_nats > 0
    # What the prior expects of the payload, and the container as it is.
    payload = method.bits_estimated(image)
    assert payload is not None
    assert agrees.bits_estimated is not None
    assert agrees.bits_estimated - payload == 8 * (len(data) - len(unpack(data)[1]))
    macs = method.encoder_macs(37, 45)
    assert macs is not None
    assert found.encoder_kmacs_per_px == pytest.approx(macs / (37 * 45) / 1000)
    jpeg = measure(methods["jpeg"], [first], scores(own))
    assert jpeg.encoder_kmacs_per_px is jpeg.answers[0].bits_estimated is None
    with pytest.raises(DataError, match="labels are 0 to 2"):
        measure(method, [first], scores(3))
    with pytest.raises(DataError, match="at least one"):
        measure(method, [], scores())


def test_what_cannot_be_is_refused(
    teacher: SmallTeacher, methods: dict[str, SplitMethod], image: np.ndarray
) -> None:
    with pytest.raises(ConfigError, match=r"after the pooling.*; got 6"):
        PlacementSpec(stage=6, channels=CHANNELS)
    with pytest.raises(DataError, match="one latent"):
        methods["student"].encode(image[:4, :4])
    with pytest.raises(DataError, match="uint8"):
        methods["student"].encode(image[..., 0])
    with pytest.raises(ConfigError, match="channels are positive"):
        StudentSpec(latent_channels=0)
    with pytest.raises(ConfigError, match="channels are positive"):
        ReductionSpec(bottleneck_channels=0)
