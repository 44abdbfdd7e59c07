"""Adam in frequencies of kernels: the basis, and what it changes and leaves alone."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.specs.recipe import Recipe
from rdc.training.optimizers import in_frequencies, optimizer, real_dft
from tests.architectures import ALL

SIDES = [(5, 5), (3, 3), (2, 2), (4, 6), (1, 5), (8, 8)]
RECIPE = Recipe(steps=60, learning_rate=0.1)


def gradients(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_the_basis_is_orthonormal(height: int, width: int) -> None:
    basis = real_dft(height, width)
    np.testing.assert_allclose(basis @ basis.T, np.eye(height * width), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_the_basis_has_the_powers_of_the_fourier_transform(
    height: int, width: int
) -> None:
    """Cosine and sine of a frequency together hold the power of it and its opposite."""
    kernel = gradients(height, width)
    power = np.abs(np.fft.fft2(kernel, norm="ortho")).ravel() ** 2
    ours = (real_dft(height, width) @ kernel.ravel()) ** 2
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    opposite = (-rows % height) * width + -columns % width
    np.testing.assert_allclose(
        ours + ours[opposite], power + power[opposite], rtol=1e-4, atol=1e-5
    )


def test_an_optimizer_without_a_basis_of_its_own_takes_the_same_steps() -> None:
    """There and back is nothing, also for sides that differ."""
    weights = {"a": gradients(4, 6, 3, 2), "b": gradients(7)}
    plain = optax.sgd(0.1, momentum=0.9)
    turned = in_frequencies(plain)
    states = plain.init(weights), turned.init(weights)
    for seed in range(3):
        gradient = jax.tree.map(lambda w, s=seed: gradients(*w.shape, seed=s), weights)
        steps, first = plain.update(gradient, states[0])
        ours, second = turned.update(gradient, states[1])
        states = first, second
        for name in weights:
            np.testing.assert_allclose(ours[name], steps[name], atol=1e-6)


def test_adam_scales_every_frequency_by_itself() -> None:
    """Its first step has the size of the rate in every coordinate of its basis."""
    weights = {"kernel": gradients(5, 5, 3, 2)}
    adam = in_frequencies(optax.adam(0.1))
    steps, _ = adam.update(weights, adam.init(weights))
    waves = real_dft(5, 5) @ np.asarray(steps["kernel"]).reshape(25, -1)
    np.testing.assert_allclose(np.abs(waves), 0.1, rtol=1e-3)
    pixels, _ = optax.adam(0.1).update(weights, optax.adam(0.1).init(weights))
    assert np.abs(steps["kernel"] - pixels["kernel"]).max() > 0.1


def test_weights_that_are_no_kernels_keep_their_steps() -> None:
    weights = {
        "bias": gradients(6),
        "dense": gradients(6, 4),
        "1x1": gradients(1, 1, 6, 4),
    }
    states = [
        optimizer(replace(RECIPE, kernel_basis=basis)).init(weights)
        for basis in ("pixels", "frequencies")
    ]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        assert a.shape == b.shape
    plain, ours = (
        optax.adam(0.1).update(weights, optax.adam(0.1).init(weights))[0],
        in_frequencies(optax.adam(0.1)).update(
            weights, in_frequencies(optax.adam(0.1)).init(weights)
        )[0],
    )
    for name in weights:
        np.testing.assert_array_equal(ours[name], plain[name])


@pytest.mark.parametrize("basis", ["pixels", "frequencies"])
def test_steps_do_not_depend_on_what_lies_beside(basis: str) -> None:
    """Several models in one program have the steps that each has alone."""
    recipe = replace(RECIPE, kernel_basis=basis, clip_norm=1e9)
    transformation = optimizer(recipe)
    pair = gradients(2, 3, 3, 4, 2)
    state = jax.vmap(transformation.init)(pair)
    together, _ = jax.vmap(transformation.update)(pair, state)
    together, _ = jax.vmap(transformation.update)(pair, _)
    for kernel, expected in zip(pair, together, strict=True):
        state = transformation.init(kernel)
        _, state = transformation.update(kernel, state)
        alone, _ = transformation.update(kernel, state)
        np.testing.assert_allclose(expected, alone, rtol=1e-5, atol=1e-7)


def test_a_model_has_kernels_in_both_bases() -> None:
    """The state of a real model: as many numbers, other shapes."""
    weights = nnx.state(build(ALL["conv-mean_scale_hyperprior-conv"], seed=0))
    moments = [
        jax.tree.leaves(optimizer(replace(RECIPE, kernel_basis=b)).init(weights))
        for b in ("pixels", "frequencies")
    ]
    sizes = [[m.size for m in leaves] for leaves in moments]
    shapes = [[m.shape for m in leaves] for leaves in moments]
    assert sizes[0] == sizes[1]
    assert shapes[0] != shapes[1]
