"""Integer arithmetic of the entropy networks: exact, near the floats, portable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from scipy import special

from rdc.architectures import build
from rdc.exact import functions
from rdc.exact.errors import InexactPrimitiveError
from rdc.exact.fixed_point import in_fixed_point
from rdc.exact.functions import FRACTION_BITS, LIMIT
from rdc.ops import convolution
from tests.architectures import COVERING

STEP = 2.0**-FRACTION_BITS


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def steps_of(values: Any) -> np.ndarray:
    """Exact multiples of 2^-16 as Python-sized integers."""
    scaled = np.asarray(values) / STEP
    assert (scaled == np.rint(scaled)).all()
    return scaled.astype(np.int64)


def rounded(value: Fraction) -> int:
    """To the nearest integer, halves upwards."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def integer_weights(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """docs/format.md, in Python's integers: weights [inputs, outputs]."""
    fine = [[int(np.rint(float(w) * 2**24)) for w in row] for row in weights]
    largest = max(sum(abs(row[o]) for row in fine) for o in range(len(fine[0])))
    dropped = max(largest.bit_length() - 22, 0)
    kept = [[rounded(Fraction(w, 2**dropped)) for w in row] for row in fine]
    return np.array(kept, object), 24 - dropped


def product(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """values int64[n, inputs] times float weights, by Python's integers alone."""
    whole, bits = integer_weights(weights)
    sums = values.astype(object) @ whole
    flat = [rounded(Fraction(int(s), 2**bits)) for s in sums.ravel()]
    return np.clip(np.array(flat).reshape(sums.shape), -LIMIT, LIMIT)


@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 60.0])
@pytest.mark.parametrize("depth", [1, 7, 600])
def test_dense_products_are_exact(magnitude: float, depth: int) -> None:
    """At the largest values, too, where a float32 sum would lose half its bits."""
    random = np.random.default_rng(depth)
    weights = (random.normal(size=(depth, 5)) * magnitude).astype(np.float32)
    values = random.integers(-LIMIT, LIMIT + 1, (4, depth))
    found = in_fixed_point(lambda w, x: x @ w)(jnp.asarray(weights), values * STEP)
    np.testing.assert_array_equal(steps_of(found), product(values, weights))


def test_convolutions_are_exact() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 4, 2)).astype(np.float32)
    values = random.integers(-LIMIT, LIMIT + 1, (1, 5, 6, 4))

    def convolve(kernel: jax.Array, x: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (2, 1), "VALID", dimension_numbers=layout
        )

    found = in_fixed_point(convolve)(jnp.asarray(kernel), values * STEP)
    patches = [
        values[0, 2 * i : 2 * i + 3, j : j + 3].ravel()
        for i in range(2)
        for j in range(4)
    ]
    expected = product(np.array(patches), kernel.reshape(-1, 2)).reshape(1, 2, 4, 2)
    np.testing.assert_array_equal(steps_of(found), expected)


def test_products_of_two_values_are_exact() -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(-(2**22), 2**22 + 1, (3, 256)) for _ in range(2))
    found = in_fixed_point(lambda _, a, b: a @ b.T)((), a * STEP, b * STEP)
    sums = a.astype(object) @ b.T.astype(object)
    expected = [rounded(Fraction(int(s), 2**16)) for s in sums.ravel()]
    np.testing.assert_array_equal(
        steps_of(found).ravel(), np.clip(expected, -LIMIT, LIMIT)
    )


def test_division_follows_its_definition() -> None:
    random = np.random.default_rng(0)
    a = random.integers(-(2**45), 2**45, 2000)
    b = np.append(random.integers(1, LIMIT, 1998), [1, 0])
    quotients = functions.divide(jnp.asarray(a), jnp.asarray(b))
    expected = [
        int(Fraction(int(x) << 16, max(int(y), 1))) for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(quotients, expected)


@pytest.mark.parametrize("name", list(functions.TABLE_RANGES))
def test_tables_do_not_depend_on_the_mathematics_library(name: str) -> None:
    """No entry is so near to a half that an error of some ulps could move it."""
    scaled = functions.exact_values(name) * 2**FRACTION_BITS
    distance = np.abs(scaled - np.floor(scaled) - 0.5)
    assert (distance > 16 * np.spacing(np.maximum(scaled, 1.0))).all()


@pytest.mark.parametrize(
    ("name", "function"), [("tanh", np.tanh), ("exp", np.exp), ("erfc", special.erfc)]
)
def test_tables_are_near_their_functions(name: str, function: Callable) -> None:
    values = np.linspace(-30, 7.9, 4001)
    steps = jnp.asarray(np.rint(values / STEP).astype(np.int64))
    found = np.asarray(getattr(functions, name)(steps)) * STEP
    # Half a table step times the slope, and half a step of the result.
    slope = np.maximum(np.abs(function(values)) if name == "exp" else 1.2, 1.0)
    assert (np.abs(found - function(values)) <= slope * 2.0**-12).all()


def test_values_saturate_alike() -> None:
    found = in_fixed_point(lambda _, x: x + x)((), np.array([8191.0, 1e9, -np.inf]))
    np.testing.assert_array_equal(steps_of(found), [LIMIT, LIMIT, -LIMIT])


def test_an_operation_without_counterpart_is_refused() -> None:
    with pytest.raises(InexactPrimitiveError, match="sin"):
        in_fixed_point(lambda _, x: jnp.sin(x))((), np.ones(3))


def entropy_networks(name: str) -> list[tuple[Callable, Any, tuple]]:
    """(function, weights, inputs) of the networks that both sides of a codec run."""
    model = build(COVERING[name], seed=3)
    random = np.random.default_rng(0)
    z_hat = np.rint(random.normal(size=(2, 3, 2, model.prior.channels)) * 2)
    graph, state = nnx.split(model.hyper_synthesis)
    networks: list = [(lambda s, z: nnx.merge(graph, s)(z), state, (z_hat,))]
    features = model.features(z_hat.astype(np.float32))
    y_hat = None
    for step in model.steps[:3]:
        step_graph, step_state = nnx.split(step)

        def parameters(s: Any, features: Any, y_hat: Any, graph: Any = step_graph):
            return nnx.merge(graph, s).parameters(features, y_hat)

        def refine(s: Any, part: Any, parameters: Any, graph: Any = step_graph):
            return nnx.merge(graph, s).refine(part, parameters)

        found = step.parameters(features, y_hat)
        symbols = np.rint(random.normal(size=found.mean.shape) * 2)
        part = found.mean + symbols.astype(np.float32)
        networks.append((parameters, step_state, (features, y_hat)))
        networks.append((refine, step_state, (part, found)))
        y_hat = step.place(part, y_hat)
    return networks


def _only(batch: Any, n: int) -> Any:
    return batch[n : n + 1]


WITH_HYPERPRIOR = [n for n, spec in COVERING.items() if spec.hyper_transform]


@pytest.mark.parametrize("name", WITH_HYPERPRIOR)
def test_every_family_in_integers(name: str) -> None:
    """Near the floats, and equal whatever the batch."""
    for function, state, inputs in entropy_networks(name):
        exact = jax.jit(in_fixed_point(function))
        results = jax.tree.leaves(exact(state, *inputs))
        floats = jax.tree.map(lambda a: np.asarray(a, np.float32), inputs)
        for result, value in zip(
            results, jax.tree.leaves(function(state, *floats)), strict=True
        ):
            np.testing.assert_allclose(result, value, atol=0.01)
        one_by_one = [
            jax.tree.leaves(exact(state, *jax.tree.map(partial(_only, n=n), inputs)))
            for n in (0, 1)
        ]
        for result, *parts in zip(results, *one_by_one, strict=True):
            np.testing.assert_array_equal(result, np.concatenate(parts))


def test_the_upsampling_of_a_backend_is_no_part_of_the_format(monkeypatch) -> None:
    """It decides how integer weights are scaled: 78 % of y_hat differed by it."""
    model = build(COVERING["conv-scale_hyperprior-conv"], seed=0)
    graph, state = nnx.split(model.hyper_synthesis)
    z_hat = np.rint(np.random.default_rng(0).normal(size=(1, 3, 2, 10)) * 9)

    def network(s: Any, z: Any) -> Any:
        return nnx.merge(graph, s)(z)

    found, traced = [], []
    for form in ("phases", "dilated"):
        monkeypatch.setitem(convolution.UPSAMPLING_FORM, "cpu", lambda _x, _k: form)  # noqa: B023
        found.append(in_fixed_point(network)(state, z_hat))
        floats = state, z_hat.astype(np.float32)
        traced.append(str(jax.make_jaxpr(lambda *a: network(*a))(*floats)))
    assert "lhs_dilation=(2, 2)" not in traced[0]
    assert "lhs_dilation=(2, 2)" in traced[1]  # the switch does what it says
    np.testing.assert_array_equal(found[0], found[1])
