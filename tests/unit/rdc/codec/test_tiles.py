"""Images of every size through few programs: nothing shows where they were cut."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import networks, programs, tiles, transform_networks
from rdc.codec.entropy_reach import entropy_reach_px
from rdc.codec.learned import LearnedCodec
from rdc.codec.tiles import CANVASES_PX, Tiling, tiling
from rdc.entropy_models.gaussian_step import GaussianStep
from rdc.layers.reach import Reach, reach
from rdc.model import CompressionModel
from tests.architectures import COVERING
from tests.golden.exact_latents import drawn

SIDES = [1, 3, 7, 8, 9, 13, 18, 19, 24, 25, 33, 48, 100]


@pytest.mark.parametrize("reach_px", [0, 30, 112, 300])
def test_what_is_kept_covers_the_image_and_no_cut_is_near(reach_px: int) -> None:
    for rows, columns in itertools.product(SIDES, SIDES):
        image = rows * 64, columns * 64
        found = tiling(image, reach_px, 16)
        assert found.canvas_px in CANVASES_PX
        for side, canvas, intervals in zip(
            image, found.canvas_px, (found.rows, found.columns), strict=True
        ):
            edges = [(i.first, i.end) for i in intervals]
            assert (edges[0][0], edges[-1][1]) == (0, side)
            assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
            for i in intervals:
                assert i.start % 16 == 0
                assert i.start == 0 or i.first - i.start >= reach_px
                last = i.start + canvas
                assert last >= side or last - i.end >= reach_px
                assert last <= max(side, canvas)


def test_what_cannot_be_cut_is_a_program_of_its_own() -> None:
    for reach_px in (math.inf, 10_000):
        assert tiling((2560, 64), reach_px, 64).is_whole
        assert not tiling((64 * 9, 64), reach_px, 64).is_whole  # it fits a canvas


def test_a_kodak_image_is_one_program_without_borders() -> None:
    assert all(tiling(s, 112, 64).is_whole for s in ((512, 768), (768, 512)))


def test_photographs_of_random_sizes_waste_little() -> None:
    """As the comment at `CANVASES_PX` says."""
    random = np.random.default_rng(0)
    wastes = []
    for side in random.integers(300, 4000, 300):
        image = int(side) // 64 * 64, int(side * 2 / 3) // 64 * 64
        found = tiling(image, 112, 16)
        computed = len(list(found.tiles)) * np.prod(found.canvas_px)
        wastes.append(computed / np.prod(image))
    assert np.mean(wastes) < 1.45
    assert max(wastes) < 3


def _networks(model: CompressionModel) -> dict[str, tuple[Any, int, int]]:
    """Each network, and of its input the step, px, and the channels."""
    latent = model.spec.transform.latent_channels
    found = {
        "analysis": (model.analysis_transform, 1, 3),
        "synthesis": (model.synthesis_transform, 16, latent),
    }
    if model.hyper_analysis is not None:
        features = model.spec.entropy_model.hyper_features(latent)
        found |= {
            "hyper_analysis": (model.hyper_analysis, 16, latent),
            "hyper_synthesis": (model.hyper_synthesis, 64, model.prior.channels),
        }
        if model.fusion is not None:
            found["fusion"] = model.fusion, 16, features
        for step in model.steps[:2]:
            if isinstance(step, GaussianStep):
                found["projection"] = step.projection, 16, features
            elif step.network is not None:
                begin, end = step.context
                found["context"] = step.network, 16, latent + end - begin
    return found


@pytest.mark.parametrize("name", COVERING)
def test_the_reach_of_every_network(name: str) -> None:
    """NaN at one input: it shows as far as `reach` says, and nearly so far."""
    model = build(COVERING[name], seed=0)
    for network, step_px, channels in _networks(model).values():
        found = reach(network, Reach(0, step_px))
        if math.isinf(found.px) or not network.layers:
            continue
        half = -(-found.px // 64) + 1
        side_px = 64 * (2 * half + 1)
        middle = 64 * half // step_px
        x = np.zeros((1, side_px // step_px, 64 // step_px, channels), np.float32)
        x[:, middle] = np.nan
        made = np.asarray(jax.jit(network)(x))
        rows = np.flatnonzero(np.isnan(made).any((0, 2, 3))) * found.step_px
        assert side_px // found.step_px == made.shape[1]
        seen = max(rows.max() - 64 * half, 64 * half - rows.min())
        assert found.px - 2 * max(step_px, found.step_px) <= seen <= found.px


def _whole(image_px: tiles.Size, _reach_px: float, _multiple_px: int) -> Tiling:
    return tiles._tiling(image_px, image_px, 0)


@pytest.fixture
def one_canvas(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Leaves one canvas: smaller images get borders, larger ones are cut."""

    def leave(side_px: int) -> None:
        tiling.cache_clear()
        monkeypatch.setattr(tiles, "CANVASES_PX", ((side_px, side_px),))

    yield leave
    tiling.cache_clear()


# Between them, all layers whose reach is known, a support, and LRP.
@pytest.mark.parametrize(
    "name", ["elic-mean_scale_hyperprior-conv", "conv-charm2020-conv"]
)
def test_tiles_are_equal_to_the_whole(
    name: str, one_canvas: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded to the bit, floating point up to rounding."""
    model = drawn(name)
    codec = LearnedCodec.of(model, numerics="exact")
    x = np.random.default_rng(0).integers(0, 256, (60, 560, 3), np.uint8)
    for module in (networks, transform_networks):
        monkeypatch.setattr(module, "tiling", _whole)
    encoded = codec.encoded(x)
    whole = codec.decoded(encoded.data)
    y = codec._coding.transforms.analyse(codec._coding.padded(x))
    synthesis = transform_networks._Transform(
        programs.apply, model.synthesis_transform, 16
    )
    latents = np.random.default_rng(1).normal(0, 3, whole.y_hat[None].shape)
    x_hat = synthesis(latents.astype(np.float32), 16)
    for module in (networks, transform_networks):
        monkeypatch.setattr(module, "tiling", tiling)

    far = [reach(n, Reach(0, s)).px for n, s, _ in _networks(model).values()]
    widest = max(*(px for px in far if px < math.inf), entropy_reach_px(model))
    cut_px, bordered_px = 2 * (-(-widest // 64) * 64) + 64, 640
    assert cut_px < 576 < bordered_px
    for side_px in (cut_px, bordered_px):
        one_canvas(side_px)
        tiled = codec.decoded(encoded.data)
        np.testing.assert_array_equal(tiled.y_hat, whole.y_hat)
        for again, once in (
            (synthesis(latents.astype(np.float32), 16), x_hat),
            (codec._coding.transforms.analyse(codec._coding.padded(x)), y),
        ):
            np.testing.assert_allclose(again, once, atol=1e-5 * np.abs(once).max())


# Of 64 rows there is a single window at the coarse levels, and no shift.
@pytest.mark.parametrize("image_px", [(64, 320)])
@pytest.mark.parametrize("name", ["swint-charm2020-conv", "elic-charm-swint"])
def test_windows_on_a_larger_canvas_are_those_of_the_image(
    name: str,
    image_px: tuple[int, int],
    one_canvas: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decoded to the bit, floating point up to rounding."""
    model = drawn(name)
    codec = LearnedCodec.of(model, numerics="exact")
    x = np.random.default_rng(0).integers(0, 256, (*image_px, 3), np.uint8)
    for module in (networks, transform_networks):
        monkeypatch.setattr(module, "tiling", _whole)
    encoded = codec.encoded(x)
    whole = codec.decoded(encoded.data)
    y = codec._coding.transforms.analyse(codec._coding.padded(x))
    for module in (networks, transform_networks):
        monkeypatch.setattr(module, "tiling", tiling)
    one_canvas(384)
    bordered = codec.decoded(encoded.data)
    np.testing.assert_array_equal(bordered.y_hat, whole.y_hat)
    again = codec._coding.transforms.analyse(codec._coding.padded(x))
    np.testing.assert_allclose(again, y, atol=2e-5 * np.abs(y).max())
    difference = bordered.x_hat.astype(int) - whole.x_hat
    assert np.abs(difference).max() <= 1


def test_a_folder_of_sizes_compiles_little() -> None:
    """24 photographs of random sizes: as many programs as there are canvases in it."""
    random = np.random.default_rng(3)
    sides = random.integers(300, 1200, 24)
    found = [
        tiling((int(s) // 64 * 64, int(s * 2 / 3) // 64 * 64), 112, 64) for s in sides
    ]
    assert len({(t.canvas_px, t.border_px is None) for t in found}) <= 9


def test_a_size_never_seen_compiles_nothing() -> None:
    codec = LearnedCodec.of(build(COVERING["conv-scale_hyperprior-conv"], seed=0))
    jitted = [f for f in vars(programs).values() if hasattr(f, "_cache_size")]

    def compiled() -> int:
        return sum(f._cache_size() for f in jitted)

    images = [np.zeros((h, w, 3), np.uint8) for h, w in ((60, 90), (100, 60), (9, 126))]
    codec.decode(codec.encode(images[0]))
    once = compiled()
    assert once > 0
    for x in images[1:]:
        assert codec.decode(codec.encode(x)).shape == x.shape
    assert compiled() == once
