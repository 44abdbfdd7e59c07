"""The start from principal components for blocks of 1x1 and depthwise convolutions.

Activations stand between the two convolutions of a halving block and behind the second.
An offset carries the components through both: with it, features are positive where the
crops are, and leaky ones let them pass. What reads them next takes the offset away.
A doubling block begins as its shortcut, which has no activation.

    halving block       first convolution: components and offset; second: the identity
    doubling block      shortcut: transposed components; branch: zero
    residual block      zero, behind the last activation
    1x1 between widths  the identity, as far as it goes
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers import Appended, Conv, DepthToSpace, Network, Residual
from rdc.training import carrier

OUTPUT_DAMPING = 0.1  # of the weights of what gives entropy parameters
HEADROOM = 1.5  # of the offset, over the largest magnitude on the crops


def is_halving(layer: nnx.Module) -> bool:
    return isinstance(layer, Residual) and _stride(layer.shortcut) == 2


def is_doubling(layer: nnx.Module) -> bool:
    return (
        isinstance(layer, Residual)
        and bool(layer.shortcut.layers)
        and isinstance(layer.shortcut.layers[-1], DepthToSpace)
    )


def _stride(network: Network) -> int:
    first = network.layers[0] if network.layers else None
    return first.stride if isinstance(first, Conv) else 1


def become_identity(block: Residual) -> float:
    """Silences the branch of a block without shortcut network.

    Returns:
      The gain of the block: 2 of one whose branch is itself made of blocks.
    """
    if isinstance(block.branch.layers[0], Residual):
        for inner in block.branch.layers:
            assert isinstance(inner, Residual)
            become_identity(inner)
        return 2.0
    silence(block)
    return 1.0


def silence(block: Residual) -> None:
    """Zeros the last convolution of its branch."""
    last = last_conv(block.branch)
    for weights in (last.kernel, last.bias):
        weights.set_value(jnp.zeros_like(weights[...]))


def last_conv(network: Network) -> Conv:
    return next(layer for layer in reversed(network.layers) if isinstance(layer, Conv))


def place_halving(
    block: Residual,
    components: np.ndarray,
    features: carrier.Features,
    offset: np.ndarray,
) -> np.ndarray:
    """Sets a halving block to components of 2x2 blocks.

    Args:
      components: f32[4 k, n].
      offset: of the features that it reads, f32[k].

    Returns:
      The offset of its own features, f32[n].
    """
    count = components.shape[-1]
    first, second = (x for x in block.branch.layers if isinstance(x, Conv))
    found = np.abs(features.blocks() @ components).max(0)
    own = (HEADROOM * found).astype(np.float32)
    place_components(first, components, features.signals, offset)
    bias = np.array(first.bias[...])
    bias[:count] += own
    first.bias.set_value(jnp.asarray(bias))
    kernel, bias = np.array(second.kernel[...]), np.array(second.bias[...])
    kernel[..., :count], bias[:count] = 0.0, 0.0
    kernel[1, 1, np.arange(count), np.arange(count)] = 1.0
    second.kernel.set_value(jnp.asarray(kernel))
    second.bias.set_value(jnp.asarray(bias))
    shortcut = last_conv(block.shortcut)
    for weights in (shortcut.kernel, shortcut.bias):
        weights.set_value(weights[...].at[..., :count].set(0.0))
    return own


def place_components(
    conv: Conv, components: np.ndarray, signals: int, offset: np.ndarray
) -> None:
    """Sets the first outputs of a 3x3 convolution of stride 2, minus the offset."""
    count = components.shape[-1]
    weights = components.reshape(2, 2, signals, count)
    kernel, bias = np.array(conv.kernel[...]), np.array(conv.bias[...])
    kernel[..., :count] = 0.0
    kernel[1:, 1:, :signals, :count] = weights
    bias[:count] = -np.einsum("rsik,i->k", weights, offset)
    conv.kernel.set_value(jnp.asarray(kernel))
    conv.bias.set_value(jnp.asarray(bias))


def place_transposed(conv: Conv, components: np.ndarray, signals: int) -> None:
    """Sets a 1x1 convolution before depth to space to the transpose of `components`."""
    count = components.shape[-1]
    kernel, bias = np.array(conv.kernel[...]), np.array(conv.bias[...])
    width = bias.size // 4
    places = (np.arange(4)[:, None] * width + np.arange(signals)).ravel()
    kernel[..., places] = 0.0
    kernel[0, 0, :count, places] = components
    bias[places] = 0.0
    conv.kernel.set_value(jnp.asarray(kernel))
    conv.bias.set_value(jnp.asarray(bias))


def pass_through(conv: Conv) -> None:
    """Makes a 1x1 convolution the identity on the channels that both sides have."""
    kernel, bias = np.array(conv.kernel[...]), np.array(conv.bias[...])
    same = min(kernel.shape[-2:])
    kernel[..., :same], bias[:same] = 0.0, 0.0
    kernel[0, 0, np.arange(same), np.arange(same)] = 1.0
    conv.kernel.set_value(jnp.asarray(kernel))
    conv.bias.set_value(jnp.asarray(bias))


def transposed_conv(split: Any) -> Conv:
    """The 1x1 convolution that carries the features of a layer that doubles."""
    return last_conv(split.shortcut) if isinstance(split, Residual) else split


def set_block_output(layers: list[nnx.Module], values: np.ndarray) -> None:
    """Makes `layers` begin at about `values`, f32[C], whatever their input."""
    for layer in reversed(layers):
        if isinstance(layer, Appended):
            continue  # what it appends stays as it is
        if isinstance(layer, Residual) and not layer.shortcut.layers:
            become_identity(layer)
            continue
        convs: list[Any] = [layer]
        if isinstance(layer, Residual):
            convs = [last_conv(layer.branch), last_conv(layer.shortcut)]
        for conv, bias in zip(convs, (values, 0 * values), strict=False):
            conv.bias.set_value(jnp.asarray(bias, jnp.float32))
            conv.kernel.set_value(OUTPUT_DAMPING * conv.kernel[...])
        return
