"""Layers with PyTorch's and CompressAI's weights give their outputs.

`tests/golden/write_peer_costs.py` recorded weights, inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.layers import (
    AttentionBlock,
    Conv,
    Gdn,
    Network,
    ParameterFactory,
    Relu,
    ResidualBlock,
    UpConv,
)
from rdc.transforms.conv import ConvTransform

RECORDED = Path(__file__).parents[2] / "golden/peer_outputs.npz"
PARAMETERS = ParameterFactory(0)


def attention_with_relu() -> AttentionBlock:
    """CompressAI's form: a ReLU behind the sum of every residual unit."""
    block = AttentionBlock(PARAMETERS, 8)
    *mask_units, last = block.mask.layers
    block.trunk = Network(*_with_relu(block.trunk.layers))
    block.mask = Network(*_with_relu(mask_units), last)
    return block


def _with_relu(units: list[nnx.Module]) -> Iterator[nnx.Module]:
    for unit in units:
        yield unit
        yield Relu()


CONV_TRANSFORM = ConvTransform(
    channels=(6, 6, 6), latent_channels=8, gdn_form="original"
)
BLOCKS: dict[str, nnx.Module] = {
    "conv_1_stride_1": Conv(PARAMETERS, 3, 4, 1),
    "conv_3_stride_1": Conv(PARAMETERS, 3, 4, 3),
    "conv_5_stride_1": Conv(PARAMETERS, 3, 4, 5),
    "conv_3_stride_2": Conv(PARAMETERS, 3, 4, 3, stride=2),
    "conv_5_stride_2": Conv(PARAMETERS, 3, 4, 5, stride=2),
    "up_conv_3": UpConv(PARAMETERS, 3, 4, 3),
    "up_conv_5": UpConv(PARAMETERS, 3, 4, 5),
    "gdn": Gdn(PARAMETERS, 6, form="original"),
    "gdn_inverse": Gdn(PARAMETERS, 6, inverse=True, form="original"),
    "residual_bottleneck": ResidualBlock(PARAMETERS, 8),
    "attention": attention_with_relu(),
    "attention_without_relu": AttentionBlock(PARAMETERS, 8),
    "conv_analysis": CONV_TRANSFORM.analysis_transform(PARAMETERS),
    "conv_synthesis": CONV_TRANSFORM.synthesis_transform(PARAMETERS),
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, np.ndarray]]:
    """Arrays by case, then by name, in the order of PyTorch's parameters."""
    cases: dict[str, dict[str, np.ndarray]] = {}
    with np.load(RECORDED) as arrays:
        for key in arrays.files:
            case, _, name = key.partition("/")
            cases.setdefault(case, {})[name] = arrays[key]
    assert str(cases.pop("source")[""]).startswith("CompressAI 1.2.8")
    return cases


def layers_with_weights(module: nnx.Module) -> Iterator[Conv | UpConv | Gdn]:
    if isinstance(module, Conv | UpConv | Gdn):
        yield module
    elif isinstance(module, Network):
        for layer in module.layers:
            yield from layers_with_weights(layer)
    elif isinstance(module, ResidualBlock):
        yield from layers_with_weights(module.branch)
    elif isinstance(module, AttentionBlock):
        yield from layers_with_weights(module.trunk)
        yield from layers_with_weights(module.mask)


def load(layer: Conv | UpConv | Gdn, first: np.ndarray, second: np.ndarray) -> None:
    """Sets PyTorch's two arrays of one layer: weight, bias or beta, gamma."""
    if isinstance(layer, Gdn):
        pairs = ((layer.beta, first), (layer.gamma, second.T))  # [out, in] there
    elif isinstance(layer, Conv):
        pairs = ((layer.kernel, first.transpose(2, 3, 1, 0)), (layer.bias, second))
    else:
        pairs = ((layer.kernel, first.transpose(2, 3, 0, 1)), (layer.bias, second))
    for parameter, value in pairs:
        assert parameter.shape == value.shape
        parameter[...] = jnp.asarray(value)


def test_every_recorded_block_is_compared(
    recorded: dict[str, dict[str, np.ndarray]],
) -> None:
    assert set(recorded) == set(BLOCKS)


def output(block: nnx.Module, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """NCHW, of the block with the recorded weights on the recorded input."""
    weights = iter([value for key, value in arrays.items() if key not in ("x", "y")])
    for layer in layers_with_weights(block):
        load(layer, next(weights), next(weights))
    assert next(weights, None) is None
    x = arrays["x"].transpose(0, 2, 3, 1)
    return np.asarray(block(jnp.asarray(x))).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", BLOCKS)
def test_output(name: str, recorded: dict[str, dict[str, np.ndarray]]) -> None:
    arrays = recorded[name]
    np.testing.assert_allclose(
        output(BLOCKS[name], arrays), arrays["y"], rtol=1e-5, atol=1e-5
    )


def test_attention_differs_from_compressai_by_the_relu(
    recorded: dict[str, dict[str, np.ndarray]],
) -> None:
    """Ours has none, like the code of Cheng et al. 2020."""
    arrays = recorded["attention"]
    ours = output(AttentionBlock(PARAMETERS, 8), arrays)
    assert np.abs(ours - arrays["y"]).max() > 0.01
