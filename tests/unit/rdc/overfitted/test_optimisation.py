"""The search: gradients by strips, its course, what it finds."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdc.overfitted.complexity import count, decoder_macs
from rdc.overfitted.entropy_network import entropy_parameters, laplace_bits
from rdc.overfitted.optimisation import Problem
from rdc.overfitted.parameters import initial
from rdc.overfitted.pyramid import brightness_pyramid
from rdc.overfitted.quantisation import quantised
from rdc.overfitted.saved_search import FILE, SavedSearch
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import PRESETS, OverfittedSpec
from rdc.overfitted.strips import Strips, sum_over_strips
from rdc.overfitted.surrogates import soft_round
from rdc.overfitted.synthesis import reconstructed
from rdc.overfitted.upsampling import doubled
from tests.unit.rdc.overfitted.conftest import SMALL


def test_a_sum_over_strips_has_the_gradient_of_the_sum() -> None:
    plane = jax.random.normal(jax.random.key(0), (2, 11, 5))
    fixed = jax.random.normal(jax.random.key(1), (9, 5))
    strips = Strips(count=3, rows=3, halos=(2,))

    def function(p: jax.Array, planes: tuple, fixed: tuple) -> jax.Array:
        window = planes[0][:, :-2] * planes[0][:, 2:]
        return jnp.sum(jnp.sin(p * window) * fixed[0])

    def by_strips(p: jax.Array, plane: jax.Array) -> jax.Array:
        return 3 * sum_over_strips(function, strips, p, (plane,), (fixed,))

    def whole(p: jax.Array, plane: jax.Array) -> jax.Array:
        return 3 * function(p, (plane,), (fixed,))

    p = jnp.float32(0.7)
    for a, b in zip(
        jax.tree.leaves(jax.value_and_grad(by_strips, (0, 1))(p, plane)),
        jax.tree.leaves(jax.value_and_grad(whole, (0, 1))(p, plane)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_strips(p, plane), whole(p, plane), rtol=1e-5)


def test_the_gradient_of_doubling_is_its_derivative() -> None:
    planes = jax.random.normal(jax.random.key(0), (2, 3, 4))
    taps = jnp.array([-0.1, 0.3, 0.9, -0.2])
    for axis in (1, 2):
        size = 2 * planes.size
        weights = jax.random.normal(jax.random.key(1), (size,))

        def value(planes: jax.Array, taps: jax.Array, axis: int = axis) -> jax.Array:
            return jnp.vdot(doubled(planes, taps, axis).ravel(), weights)  # noqa: B023

        for argument in (0, 1):
            gradient = jax.grad(value, argument)(planes, taps)
            arguments = [planes, taps]
            for i in np.ndindex(gradient.shape):
                moved = list(arguments)
                moved[argument] = arguments[argument].at[i].add(1.0)
                # Linear in each argument: the difference is the derivative.
                difference = value(*moved) - value(*arguments)
                np.testing.assert_allclose(difference, gradient[i], atol=1e-4)


def test_masses_sum_to_one() -> None:
    symbols = jnp.arange(-400.0, 401)
    for log2_scale in (-4.0, 0.0, 3.0):
        for mean in (0.0, 0.3, -0.5):
            bits = laplace_bits(symbols - mean, jnp.full(801, log2_scale))
            np.testing.assert_allclose(jnp.sum(2.0**-bits), 1, rtol=1e-4)


def test_soft_rounding_lies_between_identity_and_rounding() -> None:
    x = jnp.array([-1.3, -0.5, 0.0, 0.2, 0.8, 2.0])
    np.testing.assert_allclose(soft_round(x, jnp.float32(100.0)), x, atol=1e-3)
    hard = jnp.floor(x + 0.5)
    apart = x != -0.5
    np.testing.assert_allclose(
        soft_round(x, jnp.float32(0.01))[apart], hard[apart], atol=1e-6
    )


def test_the_pyramid_at_the_start_is_the_brightness() -> None:
    x = jax.random.uniform(jax.random.key(0), (3, 21, 34))
    networks = {n: jnp.asarray(v) for n, v in initial(SMALL).items()}
    for name in ("synthesis.weight.0", "synthesis.weight.out"):
        networks[name] = jnp.zeros_like(networks[name])
    latents = jax.jit(brightness_pyramid, static_argnums=2)(networks, x, SMALL.grids)
    assert [g.shape for g in latents] == list(SMALL.grid_shapes(21, 34))
    x_hat = jax.jit(reconstructed, static_argnums=2)(networks, latents, SMALL)
    np.testing.assert_allclose(x_hat, jnp.broadcast_to(x.mean(0), x.shape), atol=1e-5)


def test_the_search_lowers_the_true_loss_and_keeps_the_best(x: np.ndarray) -> None:
    problem = Problem(SMALL, x)
    seen: list[tuple[int, float]] = []
    schedule = Schedule(steps=60)
    fit = problem.optimised(
        0.0125, schedule, progress=lambda n, loss: seen.append((n, loss))
    )
    assert seen[-1][0] == 60
    assert problem.loss(fit, 0.0125) == min(loss for _, loss in seen)
    assert seen[-1][1] < 0.5 * seen[0][1]
    latents = [jnp.round(g) for g in fit.latents]
    coded = quantised(problem, fit.networks, latents, 0.0125)
    parameters = coded.parameters(SMALL)
    change = problem.mse_255(parameters, latents) - problem.mse_255(
        fit.networks, latents
    )
    assert change < 0.5 * problem.mse_255(fit.networks, latents)


class EndedError(Exception):
    pass


@pytest.mark.parametrize("last", [25, 55])
def test_an_ended_search_goes_on_and_finds_the_same(
    x: np.ndarray, tmp_path: Path, last: int
) -> None:
    """While it searches, before any look or after, and while it rests."""
    problem, schedule = Problem(SMALL, x), Schedule(steps=60, evaluations=12)
    whole = problem.optimised(0.0125, schedule)

    def end(step: int, loss: float) -> None:
        if step == last:
            raise EndedError

    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    saved = SavedSearch(first, every_seconds=0)
    with pytest.raises(EndedError):
        problem.optimised(0.0125, schedule, progress=end, saved=saved)
    (newest,) = first.glob(f"*/{FILE}")
    (second / "59").mkdir()
    (second / "59" / FILE).write_bytes(newest.read_bytes()[:-100])  # cut off
    seen: list[int] = []
    resumed = problem.optimised(
        0.0125,
        schedule,
        progress=lambda step, loss: seen.append(step),
        saved=SavedSearch(second, [first]),
    )
    assert seen[0] == last
    for one, other in zip(
        jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_costs_by_hand() -> None:
    spec = OverfittedSpec(
        grids=2,
        context=3,
        coarser=1,
        entropy_widths=(5,),
        synthesis_width=7,
        residual_blocks=1,
    )
    macs = decoder_macs(spec, 4, 6)
    assert macs["entropy_network"] == (4 * 5 + 2 * (5 + 4)) * (24 + 6)
    assert macs["upsampling"] == 4 * (4 * 3) + 4 * (4 * 6)
    assert macs["synthesis"] == 24 * (7 * 2 + 3 * (7 + 2) + 81)
    whole = count(spec, 4, 6, Schedule(steps=10))
    assert whole.kmacs_per_px == sum(macs.values()) / 24000
    assert whole.kmacs_per_px_encode == 30 * whole.kmacs_per_px


def test_the_entropy_network_counts_as_traced() -> None:
    from rdc.complexity.jaxpr_cost import cost_of

    spec = PRESETS["overfitted_1200"]
    shapes = {
        n: jax.ShapeDtypeStruct(v.shape, v.dtype) for n, v in initial(spec).items()
    }
    inputs = jax.ShapeDtypeStruct((spec.entropy_inputs, 1), np.float32)
    traced, _ = cost_of(lambda p, i: entropy_parameters(p, i, spec), shapes, inputs)
    latents = sum(h * w for h, w in spec.grid_shapes(64, 64))
    assert decoder_macs(spec, 64, 64)["entropy_network"] == traced.macs * latents


def test_presets_cost_what_their_names_say() -> None:
    for name, spec in PRESETS.items():
        stated = int(name.rpartition("_")[2])
        assert abs(1000 * count(spec, 512, 768).kmacs_per_px / stated - 1) < 0.3
