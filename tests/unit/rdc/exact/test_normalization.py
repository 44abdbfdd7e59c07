"""LayerNorm in integers: as written down, and as precise at every size."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import NAMED
from rdc.exact.errors import InexactPrimitiveError
from rdc.exact.fixed_point import in_fixed_point
from rdc.exact.functions import LIMIT
from rdc.exact.normalization import normalize, reciprocal_root
from rdc.layers import ParameterFactory
from rdc.ops.normalization import normalize_over_channels


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def shift(a: int, n: int) -> int:
    return (a + ((1 << n) >> 1)) >> n


def by_the_format(a: list[int]) -> list[int]:
    """docs/format.md, in Python's integers."""
    n = len(a)
    mean = (2 * 16 * sum(a) + n) // (2 * n)
    d = [16 * value - mean for value in a]
    s = max(max(map(abs, d)).bit_length() - 25, 0)
    v = (sum(shift(value, s) ** 2 for value in d) << 10) // n
    v += 11258999068 >> 2 * s
    h = (v.bit_length() - 21) // 2
    r = isqrt(2**62 // (v >> 2 * h))
    return [shift(value * r, 10 + h + s) for value in d]


@pytest.mark.parametrize("n", [1, 7, 192, 2048])
@pytest.mark.parametrize("size", [0, 1, 300, 1 << 16, 1 << 23, LIMIT])
def test_the_routine_follows_the_format(n: int, size: int) -> None:
    random = np.random.default_rng(n)
    a = random.integers(-size, size + 1, (4, n))
    a[1] = np.where(np.arange(n) == n // 2, size, 0)  # one channel alone
    a[2] = size
    a[3] = np.where(np.arange(n) % 2, size, -size)
    found = normalize(jnp.asarray(a))
    assert found.tolist() == [by_the_format(row) for row in a.tolist()]


def test_roots_follow_their_definition() -> None:
    powers = [2**k + i for k in range(22, 62) for i in (-1, 0, 1)]
    random = np.random.default_rng(0).integers(1, 1 << 61, 999)
    values = np.array([*range(1, 99), *powers, *random])
    roots, exponents = reciprocal_root(jnp.asarray(values))
    for value, root, exponent in zip(
        values.tolist(), roots.tolist(), exponents.tolist(), strict=True
    ):
        assert 1 << 20 <= root <= 1 << 21
        assert abs(value * root**2 / 4.0**exponent - 1) < 4e-6


def test_more_channels_than_the_sums_have_room_for_are_refused() -> None:
    with pytest.raises(InexactPrimitiveError, match="at most; got 2049"):
        in_fixed_point(lambda _, x: normalize_over_channels(x))((), np.ones((1, 2049)))


@pytest.mark.parametrize("deviation", [0.003, 1.0, 200.0, 2000.0])
def test_precision_does_not_depend_on_the_size(deviation: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, 192)) * deviation
    x = np.rint(np.clip(x, -8000, 8000) * 2**16) / 2**16
    found = in_fixed_point(lambda _, x: normalize_over_channels(x))((), x)
    variance = x.var(axis=-1, keepdims=True) + 1e-5
    expected = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(variance)
    # Half a step of the result, a 21-bit root at five deviations, and half a unit of
    # the mean.
    tolerance = 2**-17 + 5 * 2e-6 + 2**-21 / deviation
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


def large_hyperlatents() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    small = np.rint(random.normal(size=(1, 4, 6, 192)) * 2)
    cases = {"sigma 60 in all": np.rint(random.normal(size=small.shape) * 60)}
    for size in (100, 255):
        cases[f"{size} in one channel"] = small.copy()
        cases[f"{size} in one channel"][..., 5] = size
    return cases


@pytest.mark.parametrize("case", large_hyperlatents())
def test_hyper_synthesis_stays_near_the_floats(case: str) -> None:
    """Squares were cut at 2^13: 0.35 off with one hyperlatent of 100, 2.9 with 250."""
    spec = NAMED["rdc_d"]
    features = spec.entropy_model.hyper_features(spec.transform.latent_channels)
    network = spec.hyper_transform.hyper_synthesis(features, ParameterFactory(0))
    graph, state = nnx.split(network)
    z_hat = large_hyperlatents()[case]

    def run(state, z_hat):
        return nnx.merge(graph, state)(z_hat)

    floats = run(state, z_hat.astype(np.float32))
    np.testing.assert_allclose(
        jax.jit(in_fixed_point(run))(state, z_hat), floats, atol=0.002
    )
