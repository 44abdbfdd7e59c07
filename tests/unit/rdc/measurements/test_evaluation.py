"""Evaluation: one code for learned and classical codecs, from real bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import ClassicalCodec, Codec, Decoded, Encoded, LearnedCodec
from rdc.data.image_sets import readable_images
from rdc.errors import ConfigError
from rdc.measurements import evaluate
from rdc.measurements.evaluation import LatentMismatchError
from rdc.measurements.metrics import METRICS, Metric, ms_ssim, mse_255, psnr_db
from rdc.measurements.rows import ImageMeasurement
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import OperatingPoint
from tests.architectures import ALL


@pytest.fixture(scope="module")
def images() -> list[tuple[str, np.ndarray]]:
    """Crops of photographs, of two sizes."""
    found = [(p.name, x[100:300, 50:290]) for p, x in readable_images("bundled:eval")]
    assert len(found) == 3
    return [*found[:2], (found[2][0], found[2][1][:64, :80])]


@pytest.fixture(scope="module")
def learned() -> LearnedCodec:
    return LearnedCodec.of(build(ALL["conv-mean_scale_hyperprior-conv"], seed=1))


@pytest.fixture(scope="module")
def jpeg() -> ClassicalCodec:
    return ClassicalCodec(ClassicalSpec(name="jpeg", settings=(20, 80)))


@pytest.mark.parametrize("name", ["learned", "jpeg"])
def test_every_codec_is_measured_from_its_bytes(
    name: str, images: list, request: pytest.FixtureRequest
) -> None:
    codec: Codec = request.getfixturevalue(name)
    rows = evaluate(codec, images)
    assert [(row.image, row.rate) for row in rows] == [
        (image, point.rate) for image, _ in images for point in codec.operating_points
    ]
    pixels = dict(images)
    for row in rows:
        x = pixels[row.image]
        data = codec.encode(x, row.rate)
        x_hat = codec.decode(data)
        assert (row.height_px, row.width_px) == x.shape[:2]
        assert row.bytes == len(data)
        assert row.bpp_coded == 8 * len(data) / (x.shape[0] * x.shape[1])
        assert row.metrics == {
            "psnr_db": psnr_db(x, x_hat),
            "ms_ssim": ms_ssim(x, x_hat),
            "mse_255": mse_255(x, x_hat),
        }
        assert (row.metrics["ms_ssim"] is None) == (row.height_px < 161)
        assert row.encode_ms > 0
        assert row.decode_ms > 0


def test_what_only_one_kind_of_codec_has(
    learned: LearnedCodec, jpeg: ClassicalCodec, images: list
) -> None:
    (row,) = evaluate(learned, images[:1])
    assert row.setting is None
    # Header, checksums and the end of the stream, over the entropy of the symbols.
    assert 0 < row.bytes - row.bpp_estimated * 200 * 240 / 8 < 60
    rows = evaluate(jpeg, images[:1])
    assert [row.setting for row in rows] == [20, 80]
    assert [row.bpp_estimated for row in rows] == [None, None]
    assert rows[0].bytes < rows[1].bytes
    assert rows[0].metrics["psnr_db"] < rows[1].metrics["psnr_db"]


def test_points_may_be_chosen(jpeg: ClassicalCodec, images: list) -> None:
    (row,) = evaluate(jpeg, images[:1], jpeg.operating_points[1:])
    assert (row.rate, row.setting) == (1, 80)
    with pytest.raises(ConfigError, match="rates 0 to 1; got 2"):
        evaluate(jpeg, images[:1], [OperatingPoint(rate=2)])


class Raw(Codec):
    """A codec that stores the pixels, and counts its calls."""

    def __init__(self, y_hats: tuple[Any, Any] = (None, None)):
        self.codec_id = "0" * 16
        self.operating_points = (OperatingPoint(rate=0), OperatingPoint(rate=1))
        self.calls: list[tuple] = []
        self._y_hats = y_hats

    def encoded(self, x: np.ndarray, rate: int = 0, effort: int = 0) -> Encoded:
        self.calls.append((x.shape[:2], rate, effort))
        self._shape = x.shape
        return Encoded(x.tobytes(), None, self._y_hats[0])

    def decoded(self, data: bytes) -> Decoded:
        x_hat = np.frombuffer(data, np.uint8).reshape(self._shape)
        return Decoded(x_hat, self._y_hats[1])

    def cost(self, height_px: int = 512, width_px: int = 768) -> None:
        return None


def test_the_first_call_of_a_size_is_not_timed(images: list) -> None:
    codec = Raw()
    rows = evaluate(codec, images, effort=2)
    assert len(rows) == 6
    large, small = (200, 240), (64, 80)
    order = [(large, 0), (large, 0), (large, 1), (large, 0), (large, 1)]
    order += [(small, 0), (small, 0), (small, 1)]
    efforts = [1, 2, 2, 2, 2, 1, 2, 2]  # compiled by the shortest search
    expected = [(*call, e) for call, e in zip(order, efforts, strict=True)]
    assert codec.calls == expected


def test_perfect_images_have_a_finite_psnr(images: list) -> None:
    """JSON has no infinity, and a mean over a set would be lost."""
    for row in evaluate(Raw(), images):
        assert row.metrics["mse_255"] == 0
        assert row.metrics["psnr_db"] == pytest.approx(58.92, abs=0.01)
        json.dumps(row.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "y_hats", [(np.zeros(3), np.array([0, 1, 0])), (np.zeros(3), None)]
)
def test_other_latents_are_a_defect(y_hats: tuple, images: list) -> None:
    with pytest.raises(LatentMismatchError, match=images[0][0]):
        evaluate(Raw(y_hats), images)
    assert evaluate(Raw((np.ones(3), np.ones(3))), images[:1])


def test_rows_are_flat_in_records(jpeg: ClassicalCodec, images: list) -> None:
    for row in evaluate(jpeg, images):
        values = json.loads(json.dumps(row.to_dict()))
        assert "metrics" not in values
        assert values["psnr_db"] == row.metrics["psnr_db"]
        assert ImageMeasurement.from_dict(values) == row
        with pytest.raises(ConfigError, match="unknown key"):
            ImageMeasurement.from_dict({**values, "psnr": 30.0})


def worst_error(x: np.ndarray, x_hat: np.ndarray) -> float:
    return float(np.abs(x.astype(int) - x_hat).max())


def test_a_metric_is_one_function_and_one_line(
    jpeg: ClassicalCodec, images: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluate(jpeg, images)[0].to_dict()
    metric = Metric(worst_error, "worst error", "levels", minimise=True)
    monkeypatch.setitem(METRICS, "worst_error", metric)
    row = evaluate(jpeg, images)[0]
    x = images[0][1]
    assert row.to_dict()["worst_error"] == worst_error(x, jpeg.decode(jpeg.encode(x)))
    assert ImageMeasurement.from_dict(row.to_dict()) == row
    # Records from before it stay readable.
    assert ImageMeasurement.from_dict(before).metrics["worst_error"] is None
