"""The networks of split methods have the published sizes."""

import math

import jax
from flax import nnx

from rdc.complexity import count_network
from rdc.layers import Gdn, ParameterFactory
from rdc.split.network_specs import ReductionSpec, StudentSpec
from rdc.split.priors import LatentPrior

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
    values = (15 + 7 + 6) * SPEC.latent_channels
    assert params(LatentPrior(ABSTRACT, SPEC.latent_channels)) == values


def test_hyperprior() -> None:
    """SC2 benchmark: 200 400 parameters with the encoder, 58 values a channel of z."""
    prior = LatentPrior(ABSTRACT, SPEC.latent_channels, 16)
    assert 138_672 + params(prior) + (58 - 28) * 16 == 200_400
    assert prior.shapes((55, 55, 24)) == {"y": (55, 55, 24), "z": (14, 14, 16)}
    assert prior.hyper_synthesis is not None
    features = count_network(prior.hyper_synthesis, (14, 14, 16)).output_shape
    assert features == (55, 55, 48)
    for size in (1, 2, 4, 57, 58):  # no photograph of 16 k pixels
        shape = prior.shapes((size, 55, 24))["z"]
        height, width, _ = count_network(prior.hyper_synthesis, shape).output_shape
        assert height >= size
        assert width == 55


def test_channel_reduction() -> None:
    """SC2 benchmark: 60 x 60 bytes a channel at 224 px; parameters by hand."""
    spec = ReductionSpec()
    encoder = count_network(spec.encoder(ABSTRACT), (224, 224, 3))
    assert encoder.output_shape == (60, 60, 3)
    convolutions = 49 * 3 * 64 + 4 * (64 * 64 + 64 * 256 + 256 * 64 + 64 * 3)
    assert encoder.params == convolutions + 4 * (64 + 64 + 256 + 64)
    decoder = count_network(spec.decoder(ABSTRACT), (60, 60, 3))
    assert decoder.output_shape == (56, 56, 256)
    convolutions = 4 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256)
    assert decoder.params == convolutions + 4 * (3 + 64 + 128 + 256 + 256)


def test_narrow_teachers_have_narrow_networks() -> None:
    assert StudentSpec.before(256) == StudentSpec()
    assert StudentSpec.before(32).decoder_channels == (64, 32)
    assert ReductionSpec.before(256, 64) == ReductionSpec()
    assert ReductionSpec.before(32, 32).encoder_channels == (32, 128, 32)


def params(network: nnx.Module) -> int:
    leaves = jax.tree.leaves(nnx.state(network))
    return sum(math.prod(leaf.shape) for leaf in leaves)
