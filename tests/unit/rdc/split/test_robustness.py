"""Inputs that inflate the bytes do so in real streams, within their bounds."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import pytest

from rdc.codec import LearnedCodec
from rdc.errors import ConfigError, DataError
from rdc.layers import ParameterFactory
from rdc.split.network_specs import StudentSpec
from rdc.split.robustness import Bits, codec_bits, inflated, inflations, method_bits
from rdc.split.student import Student
from tests.unit.rdc.split.teacher import CHANNELS, SmallTeacher


@pytest.fixture(scope="module")
def targets(
    codec: LearnedCodec,
) -> dict[str, tuple[Callable[[np.ndarray], bytes], Bits]]:
    spec = StudentSpec.before(CHANNELS, encoder_channels=(6, 5), latent_channels=4)
    student = Student(spec, ParameterFactory(1))
    last = student.encoder.layers[-1]
    last.kernel.set_value(last.kernel[...] * 150)
    method = student.method(SmallTeacher(), "beta=1")
    return {
        "student": (method.encode, method_bits(method)),
        "codec": (codec.encode, codec_bits(codec)),
    }


@pytest.mark.parametrize("name", ["student", "codec"])
def test_bytes_rise_with_the_strength(
    name: str,
    targets: dict[str, tuple[Callable[[np.ndarray], bytes], Bits]],
    x: np.ndarray,
) -> None:
    weak, strong = inflations(*targets[name], [x], levels=(2, 16), steps=6)
    assert weak.bytes_before == strong.bytes_before == len(targets[name][0](x))
    assert 0 < weak.increase < strong.increase
    assert strong.increase == strong.bytes_after / strong.bytes_before - 1
    assert (strong.eps_255, strong.steps, strong.image_count) == (16, 6, 1)


def test_pixels_stay_within_the_levels(x: np.ndarray) -> None:
    """Of bits that grow with the pixels."""
    ascent = jax.value_and_grad(lambda x: x.sum())
    found = inflated(x, ascent, eps_255=3, steps=4).astype(int)
    np.testing.assert_array_equal(found, np.minimum(x.astype(int) + 3, 255))
    flat = jax.value_and_grad(lambda x: 0 * x.sum())
    np.testing.assert_array_equal(inflated(x, flat, eps_255=3, steps=2), x)


def test_what_cannot_be_is_refused(x: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="1 to 255 levels; got 20 steps, 0 levels"):
        inflations(lambda _: b"", lambda x: x.sum(), [x], levels=(0,))
    with pytest.raises(DataError, match="at least one photograph"):
        inflations(lambda _: b"", lambda x: x.sum(), [])
