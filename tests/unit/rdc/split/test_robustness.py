"""Inputs that inflate the bytes do so in real streams, within their bounds."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import pytest

from rdc.codec import LearnedCodec
from rdc.errors import ConfigError
from rdc.layers import ParameterFactory
from rdc.split.network_specs import StudentSpec
from rdc.split.robustness import (
    Bits,
    Inflated,
    codec_bits,
    inflated,
    method_bits,
    noisy,
)
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
    encode, bits = targets[name]
    attack = Inflated(bits, steps=6)
    weak, strong = (attack(x, level) for level in (2, 16))
    assert len(encode(x)) < len(encode(weak)) < len(encode(strong))
    assert attack(x, 2) is weak  # as targets that follow another one ask again


def test_pixels_stay_within_the_levels(x: np.ndarray) -> None:
    """Of bits that grow with the pixels."""
    ascent = jax.value_and_grad(lambda x: x.sum())
    found = inflated(x, ascent, eps_255=3, steps=4).astype(int)
    np.testing.assert_array_equal(found, np.minimum(x.astype(int) + 3, 255))
    flat = jax.value_and_grad(lambda x: 0 * x.sum())
    np.testing.assert_array_equal(inflated(x, flat, eps_255=3, steps=2), x)


def test_noise_is_as_strong_as_an_attack_may_be(x: np.ndarray) -> None:
    moved = noisy(x, 3).astype(int) - x
    inside = (x >= 3) & (x <= 252)
    assert {*moved[inside]} == {-3, 3}
    assert abs(moved).max() == 3
    assert abs(moved[inside].mean()) < 0.1


def test_an_attack_without_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="one step or more; got 0"):
        Inflated(lambda x: x.sum(), steps=0)
