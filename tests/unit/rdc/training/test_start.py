"""The start from principal components: a transform codec before the first step."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.data.images import read_image
from rdc.entropy_models.charm import Charm
from rdc.entropy_models.charm2020 import Charm2020
from rdc.entropy_models.dual_spatial_prior import DualSpatialPrior
from rdc.entropy_models.factorized import Factorized
from rdc.entropy_models.mean_scale_hyperprior import MeanScaleHyperprior
from rdc.entropy_models.quadtree_prior import QuadtreePrior
from rdc.entropy_models.scale_hyperprior import ScaleHyperprior
from rdc.errors import ConfigError
from rdc.hyper_transforms.conv import ConvHyperTransform
from rdc.hyper_transforms.evc import EvcHyperTransform
from rdc.hyper_transforms.one_scale import OneScaleHyperTransform
from rdc.hyper_transforms.swint import SwinTHyperTransform
from rdc.registry import REGISTRY
from rdc.specs.components import ArchitectureSpec
from rdc.training.input import training_batches
from rdc.training.start import middle_lmbda, start_from_principal_components
from rdc.training.step import training_loss
from rdc.transforms.conv import ConvTransform
from rdc.transforms.elic import ElicTransform
from rdc.transforms.evc import EvcTransform
from rdc.transforms.one_scale import OneScaleTransform
from rdc.transforms.swint import SwinTTransform

LMBDA = 0.0125
# Narrow ones, but wide enough for 30 dB: the transform is cut to so many components.
TRANSFORMS = {
    "conv": ConvTransform(channels=(16, 32, 64), latent_channels=96),
    "elic": ElicTransform(channels=(16, 32, 64), latent_channels=96, residual_blocks=1),
    "swint": SwinTTransform(widths=(32, 64, 64, 128), depths=(1, 1, 1, 1)),
    "evc": EvcTransform(
        encoder_channels=(16, 32, 64),
        decoder_channels=(16, 40, 48),
        latent_channels=96,
    ),
    "one_scale": OneScaleTransform(
        channels=192, latent_channels=96, encoder_blocks=1, decoder_blocks=1
    ),
}
CONV = ConvHyperTransform(analysis_channels=(32, 32, 32), synthesis_channels=(32, 32))
SWINT = SwinTHyperTransform(widths=(32, 32), depths=(1, 1))
SLICES = {"num_slices": 4, "max_support_slices": 2, "slice_channels": (16, 12)}
ENTROPY = {
    "factorized": (Factorized(), None),
    "scale_hyperprior": (ScaleHyperprior(), CONV),
    "mean_scale_hyperprior": (MeanScaleHyperprior(), SWINT),
    "charm2020": (
        Charm2020(**SLICES),
        ConvHyperTransform(
            analysis_channels=(32, 32, 32),
            synthesis_channels=(32, 32),
            synthesis_branches=2,
        ),
    ),
    "charm": (Charm(**SLICES, projection_channels=16), SWINT),
    "dual_spatial_prior": (DualSpatialPrior(), EvcHyperTransform(channels=32)),
    "quadtree_prior": (
        QuadtreePrior(trunk_blocks=1),
        OneScaleHyperTransform(channels=32),
    ),
}
CASES = [
    *product(["conv"], list(ENTROPY)[:5]),
    ("elic", "charm"),
    ("swint", "charm"),
    ("evc", "dual_spatial_prior"),
    ("one_scale", "quadtree_prior"),
]


def test_every_component_is_among_the_cases() -> None:
    assert TRANSFORMS.keys() == REGISTRY["transform"].keys()
    assert ENTROPY.keys() == REGISTRY["entropy_model"].keys()


@pytest.fixture(scope="module")
def crops(photographs: dict[str, list[Path]]) -> np.ndarray:
    batches = training_batches(
        photographs["train"], crop_px=128, batch_size=32, seed=0, steps=1
    )
    return next(batches)


def architecture(transform: str, entropy_model: str) -> ArchitectureSpec:
    model, hyper = ENTROPY[entropy_model]
    return ArchitectureSpec(
        transform=TRANSFORMS[transform], entropy_model=model, hyper_transform=hyper
    )


@pytest.mark.parametrize(("transform", "entropy_model"), CASES)
def test_the_start_is_a_transform_codec(
    transform: str,
    entropy_model: str,
    crops: np.ndarray,
    photographs: dict[str, list[Path]],
) -> None:
    """At 30 dB and more on photographs that it never saw, and no bits are wasted.

    A photograph of leaves and lattices loses more: it has no place in few components.
    """
    model = build(architecture(transform, entropy_model), seed=0)
    x = crops[:8].astype(np.float32) / 255
    key = jax.random.key(0)
    before = float(training_loss(model, x, key, LMBDA)[0])
    start_from_principal_components(model, crops, LMBDA)
    after = float(training_loss(model, x, key, LMBDA)[0])
    # Without a hyper-transform nothing says how small the latents are.
    assert after < (6 if entropy_model == "factorized" else 2.5) < before
    for path in photographs["eval"]:
        if path.stem not in ("chelsea", "flower"):
            continue
        image = read_image(path)[None, :256, :256].astype(np.float32) / 255
        y = model.analysis_transform(image)
        error = np.mean(np.square(np.asarray(model.synthesis_transform(y)) - image))
        assert error < 10**-3.0
        # The gain matters: latents that round to zero would carry nothing.
        assert 0.03 < np.mean(np.rint(y) != 0) < 0.6


def test_latents_grow_with_the_weight_of_the_distortion(crops: np.ndarray) -> None:
    sizes = []
    for lmbda in (LMBDA, 4 * LMBDA):
        model = build(architecture("conv", "mean_scale_hyperprior"), seed=0)
        start_from_principal_components(model, crops, lmbda)
        y = np.asarray(model.analysis_transform(crops[:2].astype(np.float32) / 255))
        sizes.append(y.std())
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.01)


@pytest.mark.parametrize("transform", ["conv", "swint"])
def test_every_rate_of_a_model_starts_well(transform: str, crops: np.ndarray) -> None:
    """Constant channels, too, whose means are known at one rate alone."""
    lmbdas = (0.003, 0.0125, 0.05)
    model = build(architecture(transform, "mean_scale_hyperprior"), 0, lmbdas)
    start_from_principal_components(model, crops, middle_lmbda(lmbdas))
    x = crops[:8].astype(np.float32) / 255
    keys = jax.random.split(jax.random.key(0), len(x))
    loss, _ = training_loss(model, x, keys, np.asarray(lmbdas, np.float32))
    assert float(loss) < 3.0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_start_does_not_rest_on_the_last_bits_of_weights(
    transform: str, crops: np.ndarray
) -> None:
    """Training changes weights that cancel each other; then bfloat16, or the matrix
    units of a GPU, round them. Biases and gains they do not.

    Constant channels that outputs read with their full size lost 10 dB here.
    """
    model = build(architecture(transform, "factorized"), seed=0)
    start_from_principal_components(model, crops, LMBDA)
    x = crops[:8].astype(np.float32) / 255

    def psnr_db() -> float:
        x_hat = np.asarray(model.synthesis_transform(model.analysis_transform(x)))
        return -10 * np.log10(np.mean(np.square(x_hat - x)))

    before = psnr_db()
    rng = np.random.default_rng(0)

    def rounded(w: jax.Array) -> jax.Array:
        return w * (1 + 2**-9 * rng.uniform(-1, 1, w.shape)) if w.ndim > 1 else w

    nnx.update(model, jax.tree.map(rounded, nnx.state(model, nnx.Param)))
    assert psnr_db() > before - 0.5


def test_a_transform_without_room_is_refused(crops: np.ndarray) -> None:
    spec = ArchitectureSpec(
        transform=SwinTTransform(
            widths=(2, 4, 4, 8), depths=(1, 1, 1, 1), head_dim=2, window=4
        ),
        entropy_model=Factorized(),
    )
    with pytest.raises(ConfigError, match="wider than 2 channels"):
        start_from_principal_components(build(spec, seed=0), crops, LMBDA)
