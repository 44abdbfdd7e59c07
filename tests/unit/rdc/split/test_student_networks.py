"""Entropic Student has the published sizes."""

import math

import jax
from flax import nnx

from rdc.complexity import count_network
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.layers import Gdn, ParameterFactory
from rdc.split.specs import StudentSpec

ABSTRACT = ParameterFactory(None)
SPEC = StudentSpec()


def test_encoder() -> None:
    """SC2 benchmark: 138 672 parameters; 55 x 55 x 24 at 224 px; MACs by hand."""
    encoder = SPEC.encoder(ABSTRACT)
    cost = count_network(encoder, (224, 224, 3))
    assert cost.output_shape == (55, 55, 24)
    assert cost.params == 138_672
    assert cost.macs == 465_523_200 + 122_830_848  # convolutions, GDN
    assert (
        sum(
            count_network(layer, (side, side, channels)).macs
            for layer, side, channels in zip(
                encoder.layers[1::2], (112, 56), SPEC.encoder_channels, strict=True
            )
            if isinstance(layer, Gdn)
        )
        == 122_830_848
    )


def test_decoder() -> None:
    cost = count_network(SPEC.decoder(ABSTRACT), (55, 55, 24))
    assert cost.output_shape == (56, 56, 256)
    assert cost.params == 1_164_032


def test_prior() -> None:
    """28 values a channel with filters (3, 3); CompressAI's (3, 3, 3, 3) has 58."""
    prior = FactorizedPrior(ABSTRACT, SPEC.latent_channels)
    values = (15 + 7 + 6) * SPEC.latent_channels
    leaves = jax.tree.leaves(nnx.state(prior))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == values
