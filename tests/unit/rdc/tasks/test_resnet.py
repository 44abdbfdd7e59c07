"""Residual networks have the published sizes, and statistics that are only read."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.codec.exported import named_weights
from rdc.complexity import count_network
from rdc.errors import ConfigError
from rdc.layers import BatchNorm, ParameterFactory
from rdc.specs.task_networks import ResNetSpec, resnet50
from rdc.tasks.resnet import ResNet

ABSTRACT = ParameterFactory(None)


def parameters(network: nnx.Module) -> int:
    leaves = jax.tree.leaves(nnx.state(network, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)


def test_resnet50_is_torchvisions() -> None:
    """torchvision's page of ResNet50_Weights: 25 557 032 parameters, 4.09 G."""
    network = ResNet(resnet50(1000), ABSTRACT)
    assert parameters(network) == 25_557_032
    cost = count_network(network, (224, 224, 3))
    assert cost.output_shape == (1000,)
    assert cost.macs == 4_089_184_256
    statistics = 2 * 26_560  # mean and variance of each channel of a BatchNorm
    assert cost.params == 25_557_032 + statistics
    names = set(named_weights(nnx.state(network)))
    assert {
        "conv1.kernel",
        "bn1.running_mean",
        "layer1.0.downsample.1.weight",
        "layer4.2.conv3.kernel",
        "fc.bias",
    } <= names
    assert "layer1.1.downsample.0.kernel" not in names


def test_basic_blocks_are_torchvisions() -> None:
    """ResNet18_Weights: 11 689 512 parameters, 1.81 G."""
    spec = ResNetSpec(classes=1000, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2))
    network = ResNet(spec, ABSTRACT)
    assert parameters(network) == 11_689_512
    assert count_network(network, (224, 224, 3)).macs == 1_814_073_344


def test_stages_have_a_teachers_shapes() -> None:
    network = ResNet(ResNetSpec(classes=5, widths=(4, 5, 6, 7)), ParameterFactory(0))
    x = network.stem(jnp.zeros((2, 37, 64, 3)))
    assert x.shape == (2, 10, 16, 4)
    shapes = []
    for i in range(1, 6):
        x = network.stage(i, x)
        shapes.append(x.shape)
    assert shapes == [
        *((2, 10, 16, 4), (2, 5, 8, 5), (2, 3, 4, 6), (2, 2, 2, 7)),
        (2, 1, 1, 7),  # pooled
    ]
    assert network.head(x).shape == (2, 5)


def test_dilated_layers_keep_their_size_and_weights() -> None:
    """The same weights see the same pixels: every second output of layer 3."""
    plain = ResNetSpec(classes=5, widths=(4, 4, 6, 6))
    dilated = dataclasses.replace(plain, dilated=True)
    assert plain.identity() == {
        key: value for key, value in dilated.identity().items() if key != "dilated"
    }
    one, other = (ResNet(spec, ParameterFactory(0)) for spec in (plain, dilated))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 16, 4)), jnp.float32)
    coarse, fine = one.stage(3, x), other.stage(3, x)
    assert (coarse.shape, fine.shape) == ((1, 8, 8, 6), (1, 16, 16, 6))
    assert other.stage(4, fine).shape == fine.shape
    first = one.layer3[0]
    np.testing.assert_allclose(
        other.layer3[0].conv1(x)[:, ::2, ::2], first.conv1(x), rtol=1e-5, atol=1e-6
    )


def test_dilations_are_torchvisions() -> None:
    """A layer's first block has the dilation of the layer before."""
    spec = dataclasses.replace(resnet50(21), dilated=True)
    network = ResNet(spec, ABSTRACT)
    found = [
        [(block.conv2.stride, block.conv2.dilation) for block in layer]
        for layer in (network.layer2, network.layer3, network.layer4)
    ]
    assert found == [
        [(2, 1), (1, 1), (1, 1), (1, 1)],
        [(1, 1), *[(1, 2)] * 5],
        [(1, 2), (1, 4), (1, 4)],
    ]


def test_statistics_are_read_until_training() -> None:
    norm = BatchNorm(ParameterFactory(0), 3)
    x = jnp.asarray(np.random.default_rng(0).normal(5, 2, (4, 8, 8, 3)), jnp.float32)
    np.testing.assert_allclose(norm(x), x, rtol=1e-4)
    assert not norm.running_mean[...].any()
    norm.train()
    y = norm(x)
    np.testing.assert_allclose(jnp.mean(y, (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(y, (0, 1, 2)), 1, rtol=1e-4)
    norm.eval()
    np.testing.assert_allclose(norm(x), y, rtol=1e-6)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more; got 1"):
        ResNetSpec(classes=1)
