"""Encoder effort: what the search finds, and that decoders need not know of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import Codec, LearnedCodec, refinement
from rdc.codec.refinement import OVERLAP, SEARCHES, Refinement, soft_round
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.measurements import metrics
from rdc.specs.coding import OperatingPoint
from tests.architectures import ALL

LMBDA = 0.0125  # of `light`


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, list[Path]]) -> np.ndarray:
    return read_image(photographs["eval"][0])[60:180, 100:220]  # padded to 128 px


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = tuple(replace(search, steps=4) for search in SEARCHES)
    monkeypatch.setattr(refinement, "SEARCHES", searches)


def loss(codec: Codec, x: np.ndarray, data: bytes, lmbda: float = LMBDA) -> float:
    """From real bytes and real pixels."""
    bpp = 8 * len(data) / (x.shape[0] * x.shape[1])
    return bpp + lmbda * metrics.mse_255(x, codec.decode(data))


def test_an_effort_saves_and_decodes_to_the_same_latents(
    photograph: np.ndarray,
) -> None:
    codec = Codec.load("light")
    rate = codec.rate_of(None)
    lmbda = codec.lmbda_of(rate)
    assert lmbda is not None
    plain = codec.encode(photograph, rate)
    refined = codec.encoded(photograph, rate, effort=1)
    decoded = codec.decoded(refined.data)
    np.testing.assert_array_equal(decoded.y_hat, refined.y_hat)
    losses = [loss(codec, photograph, data, lmbda) for data in (plain, refined.data)]
    assert losses[1] < 0.97 * losses[0]
    assert refined.data == codec.encode(photograph, rate, effort=1)  # no chance in it
    bits = refined.bits_estimated
    assert bits is not None
    assert abs(8 * len(refined.data) - bits) < 0.01 * bits + 8 * 64


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    "name",
    [
        "conv-factorized-None",
        "conv-scale_hyperprior-conv",
        "conv-charm-conv",
    ],
)
def test_every_architecture_and_rate(name: str, photograph: np.ndarray) -> None:
    """Random weights: nothing to gain, but nothing to lose either."""
    lmbdas = (LMBDA, 4 * LMBDA)
    model = build(ALL[name], seed=1, rates=lmbdas)
    points = [OperatingPoint(rate=i, lmbda=v) for i, v in enumerate(lmbdas)]
    codec = LearnedCodec.of(model, points)
    x = photograph[:60, :60]
    plain, refined = (codec.encoded(x, 0.5, effort) for effort in (0, 1))
    np.testing.assert_array_equal(codec.decoded(refined.data).y_hat, refined.y_hat)
    losses = [loss(codec, x, e.data, 2 * LMBDA) for e in (plain, refined)]
    assert losses[1] <= losses[0] * (1 + 1e-6)


def test_the_plain_stream_where_nothing_better_is_found(
    codec: LearnedCodec, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse(self: Refinement, x: Any, latents: dict, *given: Any) -> dict:
        return latents | {"y": latents["y"] + 7}

    monkeypatch.setattr(Refinement, "refined", worse)
    assert codec.encode(x, effort=3) == codec.encode(x)


def test_images_without_the_distortion_stay_plain(
    codec: LearnedCodec, x: np.ndarray
) -> None:
    """MS-SSIM is of larger images only."""
    points = [OperatingPoint(lmbda=10.0, distortion="ms_ssim")]
    small = LearnedCodec.of(codec.model, points)
    assert small.encode(x, effort=1) == small.encode(x)


@pytest.mark.usefixtures("few_steps")
def test_efforts_that_are_not_there(codec: LearnedCodec, x: np.ndarray) -> None:
    for effort in (-1, 4):
        with pytest.raises(ConfigError, match="effort is 0 to 3"):
            codec.encode(x, effort=effort)
    without = LearnedCodec.of(codec.model)
    assert without.encode(x)
    with pytest.raises(ConfigError, match=r"lambda of the rate.*Use effort 0"):
        without.encode(x, effort=1)
    with pytest.raises(ConfigError, match="has no search"):
        Codec.load("jpeg").encode(x, effort=1)


def test_windows_cover_the_image(
    codec: LearnedCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where gradients of the whole do not fit into memory: each position once or more,
    from a window that reaches past it."""
    spec = codec.model.spec
    pad = spec.padding_multiple_px
    refinement = Refinement(codec.model, memory_bytes=1)
    seen: list[tuple[int, ...]] = []

    def search(problem: Any, search: Any, y: np.ndarray, *given: Any) -> np.ndarray:
        seen.append(problem.x.shape[1:])
        return y + 1

    monkeypatch.setattr(refinement, "_search", search)
    height, width = 5 * pad, 4 * pad - 3
    y_shape, z_shape = spec.latent_shapes(height, width)
    assert z_shape is not None
    latents = {"y": np.zeros((1, *y_shape)), "z": np.zeros((1, *z_shape))}
    x = np.zeros((height, width, 3), np.uint8)
    found = refinement.refined(x, latents, 0, LMBDA, 1)
    side = OVERLAP + 1
    assert set(seen) == {(side * pad, side * pad, 3), (side * pad, side * pad - 3, 3)}
    assert found["y"].min() == 1
    assert found["z"] is latents["z"]
    assert latents["y"].max() == 0


def test_soft_rounding_hardens() -> None:
    values = jnp.array([-1.2, -0.5, 0.1, 0.9, 2.0])
    below, share = soft_round(values, 1.0)
    np.testing.assert_array_equal(below, [-2, -1, 0, 0, 2])
    np.testing.assert_allclose(share[1], 0.5)
    assert (np.diff(np.asarray(below + share)) > 0).all()
    below, share = soft_round(values, 0.05)
    np.testing.assert_allclose((below + share)[jnp.array([0, 2, 3, 4])], [-1, 0, 1, 2])
