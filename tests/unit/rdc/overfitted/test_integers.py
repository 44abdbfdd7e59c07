"""The integer decoder is the float model up to rounding, and its stream is whole."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdc.errors import BitstreamError
from rdc.overfitted.bitstream import exp_golomb, pack_networks, unpack_networks
from rdc.overfitted.entropy_network import total_bits
from rdc.overfitted.integers import CodedNetworks, IntegerDecoder
from rdc.overfitted.parameters import GROUPS, drawn, group_of, start
from rdc.overfitted.spec import PRESETS, OverfittedSpec
from rdc.overfitted.synthesis import reconstructed
from rdc.overfitted.tables import frozen_tables, laplace_tables

SIZES = [(40, 60), (33, 17), (1, 1), (1, 70), (64, 2)]


def coded(spec: OverfittedSpec, seed: int = 0) -> CodedNetworks:
    """Noisy networks. (Random latents would be in the far tails of learned ones.)"""
    rng = np.random.default_rng(seed)
    step_bits = {g: 12 if g.endswith("bias") else 8 for g in GROUPS}
    first = start(spec)
    numbers = {
        name: np.rint(
            (value + rng.normal(0, 0.03, value.shape) - first[name])
            * 2.0 ** step_bits[group_of(name)]
        ).astype(np.int64)
        for name, value in drawn(spec).items()
    }
    return CodedNetworks(step_bits, numbers)


def latents(spec: OverfittedSpec, size: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    grids = [np.rint(rng.laplace(0, 2, s)) for s in spec.grid_shapes(*size)]
    grids[0][-1, -1] = -1000  # escaped
    return grids


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["overfitted_300", "overfitted_2000"])
def test_latents_come_back(name: str, size: tuple[int, int]) -> None:
    spec = PRESETS[name]
    decoder = IntegerDecoder(spec, coded(spec))
    given = latents(spec, size)
    words = decoder.encoded_latents(given)
    found = decoder.decoded_latents(words, spec.grid_shapes(*size))
    for a, b in zip(given, found, strict=True):
        np.testing.assert_array_equal(a, b)
    for wrong in (words[:-1], np.append(words, words[:1])):
        with pytest.raises(BitstreamError):
            decoder.decoded_latents(wrong, spec.grid_shapes(*size))


@pytest.mark.parametrize("size", SIZES[1:3])
def test_integers_are_the_float_model(size: tuple[int, int]) -> None:
    spec = PRESETS["overfitted_600"]
    networks = coded(spec)
    decoder = IntegerDecoder(spec, networks)
    grids = [np.clip(g, -9, 9) for g in latents(spec, size)]
    parameters = {n: jnp.asarray(v) for n, v in networks.parameters(spec).items()}
    floats = [jnp.asarray(g, jnp.float32) for g in grids]
    x_hat = np.asarray(
        jax.jit(reconstructed, static_argnums=2)(parameters, floats, spec)
    )
    x_hat = x_hat.transpose(1, 2, 0)
    pixels = decoder.pixels(grids)
    assert pixels.shape == (*size, 3)
    assert np.abs(np.clip(255 * x_hat, 0, 255) - pixels).max() < 0.6
    bits = 32 * decoder.encoded_latents(grids).size
    estimate = float(jax.jit(total_bits, static_argnums=2)(parameters, floats, spec))
    assert abs(bits - estimate) < 64 + 0.005 * estimate  # the state takes two words


def test_every_field_changes_the_decoder() -> None:
    base = OverfittedSpec()
    changed = {
        "grids": 6,
        "context": 15,
        "coarser": 1,
        "entropy_widths": (8, 8),
        "synthesis_width": 8,
        "residual_blocks": 1,
    }
    assert {f.name for f in dataclasses.fields(base)} == {*changed, "lmbdas"}
    for name, value in changed.items():
        other = dataclasses.replace(base, **{name: value})
        assert start(other).keys() != start(base).keys() or any(
            start(other)[n].shape != v.shape for n, v in start(base).items()
        )


def test_networks_come_back() -> None:
    spec = PRESETS["overfitted_300"]
    networks = coded(spec)
    data = pack_networks(networks, spec)
    found, size = unpack_networks(data + b"more", spec)
    assert size == len(data)
    assert found.step_bits == networks.step_bits
    for name, values in networks.numbers.items():
        np.testing.assert_array_equal(found.numbers[name], values)
    with pytest.raises(BitstreamError):
        unpack_networks(data[:-1], spec)
    with pytest.raises(BitstreamError):
        unpack_networks(bytes(len(GROUPS) + 50), spec)


def test_exp_golomb_by_hand() -> None:
    assert [exp_golomb(n, 0) for n in (0, -1, 1, -2)] == ["1", "010", "011", "00100"]
    assert exp_golomb(1, 2) == "110"


def test_tables_are_those_of_the_formula() -> None:
    """Up to what another mathematics library may round elsewhere."""
    frozen, anew = frozen_tables(), laplace_tables()
    np.testing.assert_array_equal(frozen.sizes, anew.sizes)
    difference = frozen.frequencies.astype(int) - anew.frequencies.astype(int)
    assert np.abs(difference).max() <= 1
