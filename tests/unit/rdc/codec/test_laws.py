"""Laws of every codec, learned or classical: one table of codecs, the same tests.

A codec that is added to `rdc.specs.classical` is held to them without a further line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdc.codec import BitstreamError, Codec
from rdc.codec.classical import ClassicalCodec
from rdc.data.images import read_image
from rdc.errors import ConfigError, DataError
from rdc.measurements import metrics
from rdc.specs.classical import LABELS, SETTINGS, ClassicalSpec

LEARNED = "light"
SIZES = [(1, 1), (2, 3), (17, 33), (1, 40), (64, 64), (65, 130)]


@pytest.fixture(scope="module", params=[LEARNED, *SETTINGS])
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec.load(request.param)


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, list[Path]]) -> np.ndarray:
    return read_image(photographs["eval"][0])[40:200, 100:330]


@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size_come_back(
    codec: Codec, photograph: np.ndarray, size: tuple[int, int]
) -> None:
    x = photograph[: size[0], : size[1]]
    data = codec.compress(x)
    for x_hat in (
        *codec.decode_batch([data]),
        codec.decompress(data),
        codec.decoding_stages([data])["end_to_end"]()[0],
    ):
        assert x_hat.dtype == np.uint8
        assert x_hat.shape == x.shape
    encoded = codec.encoded(x, codec.rate_of(None))
    assert encoded.data == data  # the same bytes each time
    assert (encoded.y_hat is None) == (encoded.bits_estimated is None)


def test_rates_are_in_order(codec: Codec, photograph: np.ndarray) -> None:
    """More bytes and less error from each operating point to the next."""
    rates = range(len(codec.operating_points))
    assert [point.rate for point in codec.operating_points] == list(rates)
    streams = [codec.encode(photograph, rate) for rate in rates]
    sizes = [len(data) for data in streams]
    errors = [metrics.mse_255(photograph, codec.decode(data)) for data in streams]
    assert sizes == sorted(set(sizes))
    assert errors == sorted(set(errors), reverse=True)
    assert errors[0] < 600  # 20 dB: it is the photograph
    best, worst = codec.compress(photograph, len(rates)), codec.compress(photograph, 1)
    assert (best, worst) == (streams[-1], streams[0])


def test_rates_that_are_not_there(codec: Codec, photograph: np.ndarray) -> None:
    count = len(codec.operating_points)
    for rate in (-1, count):
        with pytest.raises(ConfigError, match="rates 0 to"):
            codec.encode(photograph, rate)
    for quality in (0, count + 1):
        with pytest.raises(ConfigError, match="quality is"):
            codec.compress(photograph, quality)
    with pytest.raises(ConfigError, match="effort is 0"):
        codec.encode(photograph, 0, effort=codec.max_effort + 1)


def test_streams_that_were_cut_are_refused(
    codec: Codec, photograph: np.ndarray
) -> None:
    data = codec.compress(photograph)
    for end in {0, 1, 2, 20, len(data) - 1, *range(0, len(data), len(data) // 50)}:
        with pytest.raises(BitstreamError):
            codec.decompress(data[:end])


def test_every_classical_codec_has_a_label() -> None:
    assert LABELS.keys() == SETTINGS.keys()


def test_foreign_streams_are_refused(codec: Codec, photograph: np.ndarray) -> None:
    random = np.random.default_rng(0)
    others = [random.bytes(n) for n in (1, 30, 5000)]
    for name in {LEARNED, *SETTINGS}:
        other = Codec.load(name)
        if other.codec_id != codec.codec_id:
            others.append(other.compress(photograph[:64, :64]))
    assert len(others) == 3 + len(SETTINGS)
    for data in others:
        with pytest.raises(BitstreamError):
            codec.decompress(data)


def test_damage_is_refused_or_gives_an_image(
    codec: Codec, photograph: np.ndarray
) -> None:
    """Nothing else: classical formats have no checksum over their pixels."""
    data = codec.compress(photograph)
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, damaged.size, random.integers(1, 20))
        damaged[places] ^= random.integers(1, 256, places.size).astype(np.uint8)
        try:
            x_hat = codec.decompress(damaged.tobytes())
        except BitstreamError:
            continue
        assert x_hat.dtype == np.uint8
        assert x_hat.ndim == 3


def test_foreign_arrays_are_refused(codec: Codec) -> None:
    for x in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3))):
        with pytest.raises(DataError, match="uint8"):
            codec.compress(x)


def test_costs_are_counted_or_nothing(codec: Codec) -> None:
    cost = codec.cost(64, 64)
    assert (cost is None) == isinstance(codec, ClassicalCodec)
    assert cost is None or cost.kmacs_per_px > 1


@pytest.mark.parametrize("name", SETTINGS)
def test_classical_points_are_their_settings(name: str) -> None:
    spec = ClassicalSpec(name=name, settings=SETTINGS[name][2:5])
    codec = ClassicalCodec(spec)
    assert tuple(p.setting for p in codec.operating_points) == spec.settings
    # Which settings are measured is no part of what the codec is.
    assert codec.codec_id == Codec.load(name).codec_id
    assert codec.version.startswith("Pillow ")
    with pytest.raises(ConfigError, match="no settings of learned codecs"):
        Codec.load(name, numerics="exact")


@pytest.mark.parametrize("name", ["jpeg", "avif"])
def test_chroma_can_be_kept_whole(name: str, photograph: np.ndarray) -> None:
    halved, whole = (
        ClassicalCodec(ClassicalSpec(name=name, subsampling=kind))
        for kind in ("4:2:0", "4:4:4")
    )
    assert halved.codec_id != whole.codec_id
    checks = np.indices((64, 64)).sum(0) % 2  # red and blue of one brightness
    x = np.stack([checks * 255, np.full((64, 64), 90), 255 - checks * 255], -1)
    x = x.astype(np.uint8)
    errors = [
        metrics.mse_255(x, codec.decode(codec.encode(x, 9)))
        for codec in (halved, whole)
    ]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "gif"},
        {"name": "webp", "subsampling": "4:4:4"},
        {"name": "jpeg", "subsampling": "4:1:1"},
        {"name": "jpeg", "settings": (10.5,)},
        {"name": "jpeg", "settings": (10, 10)},
    ],
)
def test_specs_that_cannot_work(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ClassicalSpec(**wrong)


def test_a_pillow_without_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: False)
    with pytest.raises(ConfigError, match=r"without it\. Install"):
        Codec.load("avif")


def test_images_larger_than_a_format_allows() -> None:
    with pytest.raises(DataError, match="codec webp takes the image"):
        Codec.load("webp").encode(np.zeros((1, 20_000, 3), np.uint8))
