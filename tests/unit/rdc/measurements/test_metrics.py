"""Metrics against independent implementations and their own laws."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import convolve2d

from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.measurements.metrics import (
    METRIC_NAMES,
    measure,
    ms_ssim,
    ms_ssim_db,
    mse_255,
    psnr_db,
)


def distorted(x: np.ndarray, strength: int) -> np.ndarray:
    """A fixed pattern of errors, the same on every machine."""
    rows, columns, channels = np.indices(x.shape)
    pattern = (rows * 7 + columns * 13 + channels * 5) % (2 * strength + 1) - strength
    return np.clip(x.astype(int) + pattern, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs() -> dict[str, np.ndarray]:
    return {path.stem: read_image(path) for path in list_images("bundled:eval")}


@pytest.fixture
def flat():
    return np.full((8, 9, 3), 100, np.uint8)


def test_psnr_of_a_known_error(flat):
    assert mse_255(flat, flat + 5) == 25
    assert psnr_db(flat, flat + 5) == pytest.approx(10 * math.log10(255**2 / 25))


def test_errors_do_not_wrap_around():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert mse_255(black, white) == mse_255(white, black) == 255**2
    assert psnr_db(black, white) == 0


def test_equal_images(photographs):
    x = photographs["chelsea"]
    assert psnr_db(x, x) == pytest.approx(10 * math.log10(12 * 255**2))
    assert psnr_db(x, x) == pytest.approx(58.92, abs=0.005)
    assert ms_ssim(x, x) == pytest.approx(1, abs=1e-12)
    assert ms_ssim_db(1.0) == math.inf


def test_no_psnr_is_over_that_of_a_perfect_image(photographs):
    x = photographs["chelsea"]
    almost = x.copy()
    almost[0, 0, 0] ^= 1
    one_in_ten = x.copy()
    one_in_ten[::3, ::3, :] ^= 1
    assert psnr_db(x, almost) == psnr_db(x, x) > psnr_db(x, one_in_ten) > 57


def test_symmetry(photographs):
    x = photographs["flower"]
    y = distorted(x, 9)
    assert ms_ssim(x, y) == pytest.approx(ms_ssim(y, x), abs=1e-12)
    assert psnr_db(x, y) == psnr_db(y, x)


# tf.image.ssim_multiscale of TensorFlow 2.14.1 on the same pairs, its conversion to
# float32 replaced by float64: in float32 flat areas are off by up to 7e-5.
@pytest.mark.parametrize(
    ("name", "strength", "expected"),
    [
        ("chelsea", 3, 0.994840967),
        ("chelsea", 25, 0.90538669),
        ("china", 3, 0.99262354),
        ("china", 25, 0.908817022),
        ("flower", 3, 0.989592435),
        ("flower", 25, 0.853533933),
    ],
)
def test_ms_ssim_equals_tensorflow(photographs, name, strength, expected):
    x = photographs[name]
    assert ms_ssim(x, distorted(x, strength)) == pytest.approx(expected, abs=2e-9)


def reference_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, channel by channel, with the window as one 2-D kernel."""
    taps = np.arange(11) - 5
    kernel = np.exp(-(taps[:, None] ** 2 + taps[None, :] ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def blur(image):
        return convolve2d(image, kernel, mode="valid")

    def half(image):
        out = np.zeros(((image.shape[0] + 1) // 2, (image.shape[1] + 1) // 2))
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                rows = [2 * i, min(2 * i + 1, image.shape[0] - 1)]
                columns = [2 * j, min(2 * j + 1, image.shape[1] - 1)]
                out[i, j] = image[np.ix_(rows, columns)].mean()
        return out

    values = []
    for channel in range(3):
        a, b = x[..., channel].astype(float), y[..., channel].astype(float)
        value = 1.0
        for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
            if scale:
                a, b = half(a), half(b)
            variance_a = blur(a * a) - blur(a) ** 2
            variance_b = blur(b * b) - blur(b) ** 2
            covariance = blur(a * b) - blur(a) * blur(b)
            term = (2 * covariance + 58.5225) / (variance_a + variance_b + 58.5225)
            if scale == 4:
                term *= (2 * blur(a) * blur(b) + 6.5025) / (
                    blur(a) ** 2 + blur(b) ** 2 + 6.5025
                )
            value *= max(term.mean(), 0) ** weight
        values.append(value)
    return float(np.mean(values))


@pytest.mark.parametrize("size", [(161, 175), (190, 163)])
def test_ms_ssim_equals_the_definition(photographs, size):
    x = photographs["china"][: size[0], : size[1]]
    y = distorted(x, 40)
    assert ms_ssim(x, y) == pytest.approx(reference_ms_ssim(x, y), abs=1e-12)


def test_negative_contrast_counts_as_zero(photographs):
    x = photographs["chelsea"]
    assert ms_ssim(x, 255 - x) == 0


@pytest.mark.parametrize("size", [(160, 400), (400, 160), (1, 1)])
def test_small_images_have_no_ms_ssim(size):
    x = np.zeros((*size, 3), np.uint8)
    assert ms_ssim(x, x) is None


def test_decibels():
    assert ms_ssim_db(0.99) == pytest.approx(20)


def test_all_metrics_of_a_pair(photographs):
    x = photographs["flower"]
    y = distorted(x, 9)
    assert measure(x, y) == {
        "psnr_db": psnr_db(x, y),
        "ms_ssim": ms_ssim(x, y),
        "mse_255": mse_255(x, y),
    }
    assert tuple(measure(x, y)) == METRIC_NAMES


def test_names_of_metrics_cost_neither_jax_nor_scipy():
    code = (
        "import rdc.measurements.rows, rdc.measurements, sys; "
        "sys.exit(any(m in sys.modules for m in ('jax', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_shapes_and_types_are_refused(flat):
    with pytest.raises(ValueError, match="one shape"):
        psnr_db(flat, flat[:4])
    with pytest.raises(ValueError, match="8 bits"):
        psnr_db(flat, flat.astype(np.float32))
