"""Pure numerics against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rdc.ops import convolution
from rdc.ops.bounds import lower_bound, upper_bound
from rdc.ops.convolution import convolve, depth_to_space, space_to_depth, upsample
from rdc.ops.factorized_density import interval_bits
from rdc.ops.gaussian import (
    UNIT_SCALE_INDEX,
    bounded,
    gaussian_bits,
    scale_from_index,
    scale_index_from_output,
    shifted_index,
)
from rdc.ops.gdn import gdn, nonnegative, stored_nonnegative
from rdc.ops.products import channel_product
from rdc.ops.quantization import ste_round
from rdc.ops.scales import MAX_SCALE, MIN_SCALE, NUM_SCALES
from rdc.ops.windows import merge, partition, region_ids
from rdc.ops.winograd import convolve_3x3

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("x", "gradient", "passes"),
    [
        (2.0, 1.0, True),  # inside
        (0.5, -1.0, True),  # below, and descent raises it
        (0.5, 1.0, False),  # below, and descent would lower it further
    ],
)
def test_lower_bound_gradient(x: float, gradient: float, passes: bool) -> None:
    value, pull_back = jax.vjp(lambda x: lower_bound(x, 1.0), jnp.asarray(x))
    assert value == max(x, 1.0)
    assert pull_back(jnp.asarray(gradient))[0] == (gradient if passes else 0.0)


@pytest.mark.parametrize(
    ("x", "gradient", "passes"),
    [
        (0.5, 1.0, True),
        (2.0, 1.0, True),
        (2.0, -1.0, False),
    ],
)
def test_upper_bound_gradient(x: float, gradient: float, passes: bool) -> None:
    value, pull_back = jax.vjp(lambda x: upper_bound(x, 1.0), jnp.asarray(x))
    assert value == min(x, 1.0)
    assert pull_back(jnp.asarray(gradient))[0] == (gradient if passes else 0.0)


def test_straight_through_rounding() -> None:
    x = jnp.asarray([0.4, 1.6, -0.7])
    assert jnp.array_equal(ste_round(x), jnp.round(x))
    assert jnp.array_equal(jax.grad(lambda x: jnp.sum(ste_round(x)))(x), jnp.ones(3))


def test_gaussian_bits_against_scipy() -> None:
    values = RANDOM.normal(0, 3, 500)
    index = RANDOM.uniform(0, 63, 500)
    scale = np.asarray(scale_from_index(jnp.asarray(index)), np.float64)
    distance = np.abs(values)
    upper = stats.norm.logcdf((0.5 - distance) / scale)
    lower = stats.norm.logcdf((-0.5 - distance) / scale)
    expected = -(upper + np.log1p(-np.exp(lower - upper))) / np.log(2)
    assert expected.max() > 1000  # far outside of what a table of masses could hold
    bits = gaussian_bits(jnp.asarray(values), jnp.asarray(index))
    np.testing.assert_allclose(bits, expected, rtol=2e-4, atol=3e-5)


def test_scales_span_the_published_range() -> None:
    ends = scale_from_index(jnp.asarray([0.0, 63.0, UNIT_SCALE_INDEX]))
    np.testing.assert_allclose(ends, [MIN_SCALE, MAX_SCALE, 1.0], rtol=1e-5)
    index = shifted_index(scale_index_from_output(jnp.asarray([-1e3, 0.0, 1e3])))
    np.testing.assert_allclose(index, [0.0, UNIT_SCALE_INDEX, 63.0], rtol=1e-6)


@pytest.mark.parametrize("factor", [0.3, 1.0, 5.0])
def test_a_gain_shifts_the_index_of_scales(factor: float) -> None:
    index = jnp.asarray([20.0, 33.3])
    shifted = shifted_index(index, np.log(factor))
    scales = factor * scale_from_index(index)
    np.testing.assert_allclose(scale_from_index(shifted), scales, rtol=1e-5)
    assert shifted_index(jnp.asarray(-3.0), np.log(0.1)) == 0.0


def test_bits_stay_finite_and_keep_a_gradient_in_the_far_tail() -> None:
    def bits(x):
        return gaussian_bits(x, jnp.asarray(0.0))

    value, gradient = jax.value_and_grad(bits)(jnp.asarray(0.9))
    assert 12 < value < 14  # 3.6 standard deviations
    assert gradient > 0
    assert np.isfinite(bits(jnp.asarray(1e6)))


@pytest.mark.parametrize("distance", [7, 10, 15])
def test_outliers_widen_their_scale(distance: float) -> None:
    """d bits / d log scale at unit scale, by the tail's leading terms."""
    slope = -((distance - 0.5) ** 2 + 1) / np.log(2)

    def bits(log_scale):
        index = UNIT_SCALE_INDEX + log_scale * (NUM_SCALES - 1) / np.log(
            MAX_SCALE / MIN_SCALE
        )
        return gaussian_bits(jnp.asarray(float(distance)), index)

    assert jax.grad(bits)(0.0) == pytest.approx(slope, rel=5e-3)


def test_densities_keep_a_gradient_in_the_far_tail() -> None:
    for lower, upper in ((-80.0, -79.0), (79.0, 80.0), (0.0, 0.0)):
        bits, slopes = jax.value_and_grad(interval_bits, argnums=(0, 1))(lower, upper)
        assert np.isfinite([bits, *slopes]).all()
        assert abs(slopes[0]) > 0.1


def test_a_search_charges_no_more_than_an_escape() -> None:
    far = gaussian_bits(jnp.asarray([0.0, 1e3]), jnp.asarray([20.0, 20.0]))
    assert bounded(far)[0] == far[0]
    assert bounded(far)[1] == pytest.approx(-np.log2(1e-9))


@pytest.mark.parametrize("k", [3, 5, 7])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (6, 5)])
def test_upsampling_is_its_definition(k: int, size: tuple[int, int]) -> None:
    """out[o] = sum_i x[i] kernel[o - 2 i + pad] along both axes, in all forms."""
    height, width = size
    x = RANDOM.normal(size=(2, height, width, 3)).astype(np.float32)
    kernel = RANDOM.normal(size=(k, k, 3, 4)).astype(np.float32)
    pad = (k - 1) // 2
    expected = np.zeros((2, 2 * height, 2 * width, 4))
    for i, j, a, b in np.ndindex(height, width, k, k):
        row, column = 2 * i + a - pad, 2 * j + b - pad
        if 0 <= row < 2 * height and 0 <= column < 2 * width:
            expected[:, row, column] += x[:, i, j] @ kernel[a, b]
    for form in ("phases", "dilated", *(["winograd"] if k <= 5 else [])):
        np.testing.assert_allclose(
            upsample(x, kernel, form), expected, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 14), (64, 96)])
def test_winograd_is_a_convolution_within_its_tolerance(size: tuple[int, int]) -> None:
    x = RANDOM.normal(size=(2, *size, 48)).astype(np.float32)
    kernel = RANDOM.normal(size=(3, 3, 48, 40)).astype(np.float32)
    expected = convolve(x, kernel)
    found = convolve_3x3(x, kernel)
    np.testing.assert_allclose(found, expected, atol=2e-4 * float(expected.std()))


def test_the_fastest_upsampling_of_shapes_on_a_cpu() -> None:
    choose = convolution.UPSAMPLING_FORM["cpu"]
    wide, to_pixels = (5, 5, 192, 192), (5, 5, 192, 3)
    assert choose((1, 128, 192, 192), wide) == "winograd"
    assert choose((1, 8, 12, 192), wide) == "phases"  # few positions
    assert choose((1, 1024, 1024, 192), wide) == "phases"  # too much memory
    assert choose((1, 128, 192, 192), (3, 3, 192, 192)) == "phases"
    assert choose((1, 128, 192, 16), (5, 5, 16, 16)) == "phases"
    assert choose((1, 256, 384, 192), to_pixels) == "dilated"


def test_what_is_differentiated_rounds_as_phases() -> None:
    """So that a training gives what it gave, whatever its evaluation runs."""
    x = RANDOM.normal(size=(1, 6, 5, 4)).astype(np.float32)
    kernel = RANDOM.normal(size=(5, 5, 4, 4)).astype(np.float32)
    for form in ("winograd", "dilated"):
        value, _ = jax.vjp(lambda *a, form=form: upsample(*a, form), x, kernel)
        np.testing.assert_array_equal(value, upsample(x, kernel, "phases"))


def test_strided_convolution_is_centred_on_even_positions() -> None:
    x = np.zeros((1, 8, 8, 1), np.float32)
    x[0, 4, 2] = 1
    kernel = np.zeros((5, 5, 1, 1), np.float32)
    kernel[2, 2] = 1  # the identity
    out = np.asarray(convolve(x, kernel, stride=2))[0, :, :, 0]
    assert out.shape == (4, 4)
    assert out[2, 1] == 1
    assert out.sum() == 1


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (7, 4), (6, 9)])
def test_gradients_of_convolution(
    size: tuple[int, int], k: int, stride: int, per_image: bool, monkeypatch
) -> None:
    """Equal to those that XLA derives, whichever way they are computed."""
    if per_image:
        monkeypatch.setattr(convolution, "PER_IMAGE_POSITIONS", 1)
    x = RANDOM.normal(size=(3, *size, 2)).astype(np.float32)
    kernel = RANDOM.normal(size=(k, k, 2, 4)).astype(np.float32)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            [(k // 2, k // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    assert_same_with_gradients(
        lambda x, kernel: convolve(x, kernel, stride), plain, x, kernel
    )


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("form", ["phases", "dilated"])
@pytest.mark.parametrize("k", [3, 5])
def test_gradients_of_upsampling(
    k: int, form: str, per_image: bool, monkeypatch
) -> None:
    if per_image:
        monkeypatch.setattr(convolution, "PER_IMAGE_POSITIONS", 1)
    x = RANDOM.normal(size=(3, 4, 5, 2)).astype(np.float32)
    kernel = RANDOM.normal(size=(k, k, 2, 4)).astype(np.float32)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        pad = k // 2
        return jax.lax.conv_general_dilated(
            x,
            jnp.flip(kernel, (0, 1)),
            (1, 1),
            [(k - 1 - pad, k - pad)] * 2,
            lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    assert_same_with_gradients(
        lambda x, kernel: upsample(x, kernel, form), plain, x, kernel
    )


def test_product_over_channels() -> None:
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    matrix = RANDOM.normal(size=(5, 6)).astype(np.float32)
    assert_same_with_gradients(channel_product, jnp.matmul, x, matrix)


def assert_same_with_gradients(
    function: Callable, reference: Callable, *inputs: np.ndarray
) -> None:
    value, pull_back = jax.vjp(function, *inputs)
    expected, reference_pull_back = jax.vjp(reference, *inputs)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)
    gradient = RANDOM.normal(size=value.shape).astype(np.float32)
    for ours, theirs in zip(
        pull_back(gradient), reference_pull_back(gradient), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_space_to_depth_and_back() -> None:
    x = RANDOM.normal(size=(2, 4, 6, 3)).astype(np.float32)
    packed = space_to_depth(x)
    assert packed.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(depth_to_space(packed), x)


@pytest.mark.parametrize("form", ["simplified", "original"])
def test_gdn_and_its_inverse(form: str) -> None:
    x = RANDOM.normal(size=(1, 2, 2, 3)).astype(np.float32)
    beta = np.array([1.0, 0.5, 2.0], np.float32)
    gamma = RANDOM.uniform(0, 0.2, (3, 3)).astype(np.float32)
    if form == "simplified":
        norm = beta + np.abs(x) @ gamma
    else:
        norm = np.sqrt(beta + x**2 @ gamma)
    np.testing.assert_allclose(gdn(x, beta, gamma, False, form), x / norm, rtol=1e-5)
    np.testing.assert_allclose(gdn(x, beta, gamma, True, form), x * norm, rtol=1e-5)


def test_nonnegative_parameters() -> None:
    for value in (0.0, 0.1, 1.0):
        stored = jnp.asarray(stored_nonnegative(value))
        assert nonnegative(stored) == pytest.approx(value, abs=1e-7)
    assert nonnegative(jnp.asarray(-3.0), 1e-6) == pytest.approx(1e-6, rel=1e-3)


def test_windows_round_trip() -> None:
    x = RANDOM.normal(size=(2, 8, 12, 3)).astype(np.float32)
    np.testing.assert_array_equal(merge(partition(x, 4), 8, 12, 4), x)


def test_regions_of_shifted_and_padded_windows() -> None:
    assert region_ids(8, 8, 4, shifted=False) is None
    assert region_ids(4, 4, 4, shifted=True) is None  # one window is never shifted
    padded = region_ids(5, 4, 4, shifted=False)
    assert padded.shape == (2, 16)
    assert len(set(padded[0])) == 1
    assert len(set(padded[1])) == 2  # the image's row, and padding
    shifted = region_ids(8, 8, 4, shifted=True)
    assert [len(set(window)) for window in shifted] == [1, 2, 2, 4]


def test_padding_of_windows_does_not_leak_into_the_image() -> None:
    """A map that fills its window equals itself computed inside masked padding."""
    from rdc.layers import ParameterFactory
    from rdc.layers.swin import WindowAttention

    # 6 positions in windows of 4: padded to 8. The first window is whole, so its
    # result must not depend on what lies in the second one or on its padding.
    attention = WindowAttention(ParameterFactory(0), 8, 4, 4, shifted=False)
    x = RANDOM.normal(size=(1, 6, 6, 8)).astype(np.float32)
    changed = x.copy()
    changed[:, 4:] = 0
    a, b = attention(x), attention(changed)
    np.testing.assert_allclose(a[:, :4], b[:, :4], rtol=1e-5, atol=1e-6)
    # The last row attends itself alone; were the padding's zeros visible, the
    # softmax would be diluted. A 2-row map in a window of its own shows it.
    alone = attention(x[:, 4:, :4])
    np.testing.assert_allclose(a[:, 4:, :4], alone, rtol=1e-4, atol=1e-5)
