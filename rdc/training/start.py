"""A start that makes a transform codec of every architecture before the first step.

From random weights, thousands of steps pass before the latents are large enough to
carry an image at all. Here every layer that halves the resolution begins as principal
components of 2x2 blocks of the features before it, computed on crops of the training
images, and its mirror image in the synthesis as their transpose: a 16x16 block
transform in four stages, adapted to the data. What lies between begins as the identity,
and the entropy parameters as mean and spread of each latent channel on these crops.

    layer                       begins as
    Conv of stride 2, UpConv    components, transposed components
    GDN                         nearly the identity
    residual block, Swin block  the identity: its last layers are zero
    attention block             3/2 of its input: trunk the identity, mask 1/2
    patch merging, splitting    components behind LayerNorm (`rdc.training.carrier`)
    blocks of EVC, DCVC         `rdc.training.depthwise_start`
    mean and scale networks     their last bias, and a tenth of their last weights

Channels beyond the components, and all other layers, begin as they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.entropy_models.gaussian_step import GaussianStep
from rdc.entropy_models.spatial_step import SpatialStep
from rdc.layers import (
    AttentionBlock,
    Branches,
    Conv,
    DepthToSpace,
    Gdn,
    Network,
    RateGains,
    Residual,
    SpaceToDepth,
    UpConv,
)
from rdc.layers.residual import ResidualBlock
from rdc.layers.swin import PatchMerging, PatchSplitting, SwinBlock
from rdc.model import CompressionModel
from rdc.ops.gaussian import output_from_scale
from rdc.ops.gdn import stored_nonnegative
from rdc.specs.base import require
from rdc.training import carrier, depthwise_start
from rdc.training.depthwise_start import OUTPUT_DAMPING, set_block_output

START_CROPS = 64
CROP_PX = 128  # of these, enough for components and cheap for wide layers
# GDN's inverse is approximate: with more, the stages would not undo each other.
GDN_GAMMA = 0.005
ATTENTION_GAIN = 1.5
LEAST_SCALE = 0.2


def start_from_principal_components(
    model: CompressionModel, x: np.ndarray, lmbda: float
) -> None:
    """Sets the weights of `model`.

    Args:
      x: u8[B,H,W,3], crops of training images; H and W multiples of the padding.
      lmbda: weight of the distortion, which the size of the latents follows.
    """
    x = x[:, :CROP_PX, :CROP_PX]
    analysis = list(_flat(model.analysis_transform))
    synthesis = list(_flat(model.synthesis_transform))
    down = [layer for layer in analysis if _halves(layer)]
    behind = [*synthesis[1:], None]
    up = [a for a, b in zip(synthesis, behind, strict=True) if _doubles(a, b)]
    changing = {id(layer) for layer in (*down, *up)}
    gains = [
        math.prod(_become_identity(x) for x in layers if id(x) not in changing)
        for layers in (analysis, synthesis)
    ]
    require(
        len(down) == len(up) and min(map(_most, down)) >= 1,
        "train.start=principal_components needs as many layers that double as that "
        f"halve, wider than {carrier.CARRIERS} channels",
        f"{len(down)} and {len(up)} of {model.spec.family}",
        "use train.start=random",
    )
    gain = latent_gain(lmbda)
    features = carrier.Features(x.astype(np.float32) / 255.0)
    if isinstance(analysis[0], SpaceToDepth):
        features = carrier.Features(
            np.asarray(analysis[0](jnp.asarray(features.signal)))
        )
    offset = np.zeros(features.signals, np.float32)
    for i, (merge, split) in enumerate(zip(down, reversed(up), strict=True)):
        last = i == len(down) - 1
        most = min(_most(merge), _read_by(split))
        components = _principal_components(features.blocks(), most)
        # All gains at the latents; attention's are taken back.
        forth, back = (gain / gains[0], 1 / gain / gains[1]) if last else (1.0, 1.0)
        if isinstance(split, UpConv):
            assert isinstance(merge, Conv)
            _place_components(merge, split, components, features, forth, back)
            features = features.through(components * forth)
        elif not isinstance(merge, PatchMerging):
            offset = _place_blocks(
                merge, split, components, features, forth, back, offset
            )
            features = features.through(components * forth)
        else:
            assert isinstance(split, PatchSplitting)
            features = carrier.place(merge, split, components, features, forth, back)
            before = synthesis[: synthesis.index(split)][::-1]
            after = analysis[analysis.index(merge) + 1 :]
            for block in (*_swin_blocks(after), *_swin_blocks(before)):
                carrier.standardise(block, features)
    if isinstance(model.step_gains, RateGains) and features.constant:
        # Constants are as large at every rate: their mean is known.
        model.step_gains.set_ones(slice(-carrier.CARRIERS, None))
    _start_entropy_parameters(model, x)


def middle_lmbda(rates: Sequence[float]) -> float:
    """The geometric mean of a model's rates, at which its gains begin as 1."""
    return math.exp(sum(map(math.log, rates)) / len(rates))


def latent_gain(lmbda: float) -> float:
    """Of orthonormal components of [0,1] images that are rounded to whole numbers.

    At high rates, the mean squared error of a component that is worth its bits is
    3 / (2 ln 2 lmbda 255^2) (three samples a pixel); rounding leaves 1 / (12 gain^2).
    """
    error = 3.0 / (2.0 * math.log(2.0) * lmbda * 255.0**2)
    return 1.0 / math.sqrt(12.0 * error)


def _flat(network: nnx.Module) -> Iterator[nnx.Module]:
    if isinstance(network, Network):
        for layer in network.layers:
            yield from _flat(layer)
    else:
        yield network


def _swin_blocks(layers: Sequence[nnx.Module]) -> Iterator[SwinBlock]:
    """Those that `layers` begin with."""
    for layer in layers:
        if not isinstance(layer, SwinBlock):
            return
        yield layer


def _halves(layer: nnx.Module) -> bool:
    if isinstance(layer, Conv):
        return layer.stride == 2
    return isinstance(layer, PatchMerging) or depthwise_start.is_halving(layer)


def _doubles(layer: nnx.Module, after: nnx.Module | None) -> bool:
    if isinstance(layer, Conv):
        return isinstance(after, DepthToSpace) and after.times == 1
    return isinstance(layer, UpConv | PatchSplitting) or depthwise_start.is_doubling(
        layer
    )


def _become_identity(layer: nnx.Module) -> float:
    """Makes a layer pass its input, as far as it can; the gain that it has then."""
    if isinstance(layer, Gdn):
        gamma = np.array(layer.gamma[...])
        np.fill_diagonal(gamma, stored_nonnegative(GDN_GAMMA))
        layer.gamma.set_value(jnp.asarray(gamma))
    elif isinstance(layer, ResidualBlock):
        _zero(layer.branch.layers[-1])
    elif isinstance(layer, AttentionBlock):
        for block in (*layer.trunk.layers, *layer.mask.layers[:-1]):
            _become_identity(block)
        _zero(layer.mask.layers[-1])
        return ATTENTION_GAIN
    elif isinstance(layer, SwinBlock):
        _zero(layer.attention.projection)
        _zero(layer.mlp_out)
    elif isinstance(layer, Residual):
        return depthwise_start.become_identity(layer)
    elif isinstance(layer, Conv):
        depthwise_start.pass_through(layer)
    return 1.0


def _zero(layer: Any) -> None:
    for weights in (layer.kernel, layer.bias):
        weights.set_value(jnp.zeros_like(weights[...]))


def _most(merge: Any) -> int:
    """How many components a layer has room for."""
    if isinstance(merge, Residual):
        return depthwise_start.last_conv(merge.branch).kernel.shape[-1]
    if isinstance(merge, Conv):
        return merge.kernel.shape[-1]
    return merge.dense.kernel.shape[-1] - carrier.CARRIERS


def _read_by(split: Any) -> int:
    """Components that a layer of the synthesis has room for."""
    if isinstance(split, PatchSplitting):
        return split.dense.kernel.shape[0]
    conv = depthwise_start.transposed_conv(split)
    return conv.kernel.shape[-2]


def _principal_components(blocks: np.ndarray, most: int) -> np.ndarray:
    """f32[D, min(D, most)], orthonormal, of the largest second moments."""
    _, vectors = np.linalg.eigh(blocks.T @ blocks / len(blocks))
    return vectors[:, ::-1][:, :most].astype(np.float32)


def _place_components(
    analysis: Conv,
    synthesis: UpConv,
    components: np.ndarray,
    features: carrier.Features,
    forth: float,
    back: float,
) -> None:
    count = components.shape[-1]
    weights = components.reshape(2, 2, features.signals, count)
    _place(analysis, weights * forth, slice(None), slice(0, count))
    _place(synthesis, weights.swapaxes(2, 3) * back, slice(0, count), slice(None))


def _place_blocks(
    merge: Any,
    split: Any,
    components: np.ndarray,
    features: carrier.Features,
    forth: float,
    back: float,
    offset: np.ndarray,
) -> np.ndarray:
    """The offset of the features behind `merge`."""
    transposed = depthwise_start.transposed_conv(split)
    signals = features.signals
    depthwise_start.place_transposed(transposed, components * back, signals)
    if isinstance(split, Residual):
        depthwise_start.silence(split)
    if isinstance(merge, Residual):
        return depthwise_start.place_halving(
            merge, components * forth, features, offset
        )
    depthwise_start.place_components(merge, components * forth, signals, offset)
    return np.zeros(components.shape[-1], np.float32)


def _place(
    layer: Conv | UpConv, weights: np.ndarray, inputs: slice, outputs: slice
) -> None:
    """Puts 2x2 `weights` where an even position and its successor lie in the kernel.

    All other taps between these inputs and outputs become zero, and so does the bias.
    """
    kernel = np.array(layer.kernel[...])
    middle = (kernel.shape[0] - 1) // 2
    kernel[:, :, inputs, outputs] = 0.0
    rows, columns = weights.shape[2:]
    kernel[middle : middle + 2, middle : middle + 2, :rows, :columns] = weights
    layer.kernel.set_value(jnp.asarray(kernel))
    layer.bias.set_value(jnp.zeros_like(layer.bias[...]))


def _start_entropy_parameters(model: CompressionModel, x: np.ndarray) -> None:
    """Every latent channel begins with its own mean and scale on the crops."""
    if model.hyper_synthesis is None:
        return
    parts = [jnp.asarray(x[i : i + 8], jnp.float32) for i in range(0, len(x), 8)]
    latents = jnp.concatenate([model.analysis_transform(p / 255) for p in parts])
    z = np.asarray(model.hyperlatents(latents[:8]))
    _scale_output(model.hyper_analysis, 1.0 / max(float(z.std()), 1.0))
    if isinstance(model.steps[0], SpatialStep):
        _start_spatial_steps(model, np.asarray(latents))
        return
    features = model.spec.entropy_model.hyper_features(latents.shape[-1])
    outputs = np.full(features, np.nan, np.float32)
    for step in model.steps:
        assert isinstance(step, GaussianStep)
        part = np.asarray(step.select(latents))
        mean = part.mean((0, 1, 2))
        spread = part - mean if step.mean_features is not None else part
        scale = np.maximum(np.sqrt(np.square(spread).mean((0, 1, 2))), LEAST_SCALE)
        for network, channels, values in (
            (step.mean, step.mean_features, mean),
            (step.scale, step.scale_features, output_from_scale(scale)),
        ):
            if channels is None:
                continue
            if network.layers:
                _set_output(network, values)
            else:  # the hyper-synthesis itself gives them
                outputs[channels[0] : channels[1]] = values
        if step.lrp is not None:
            _zero(step.lrp.layers[-1])
    if np.isfinite(outputs).all():
        _set_output(model.hyper_synthesis, outputs)


def _start_spatial_steps(model: CompressionModel, latents: np.ndarray) -> None:
    mean = latents.mean((0, 1, 2))
    scale = np.maximum(latents.std((0, 1, 2)), LEAST_SCALE)
    means, scales = mean, output_from_scale(scale)
    for step in model.steps:
        assert isinstance(step, SpatialStep)
        if step.network is None:
            steps = [np.ones_like(mean)] if step.adaptive_steps else []
            network, values = model.fusion, [*steps, scales, means]
            assert network is not None
        else:
            given = [scales] if step.network_gives_scales else []
            network, values = step.network, [*given, means]
        set_block_output(list(_flat(network)), np.concatenate(values))


def _set_output(network: Any, values: np.ndarray) -> None:
    """Makes `network` begin at about `values`, f32[C], whatever its input."""
    for layer, own in _last_layers(network, values):
        dense = layer.dense if isinstance(layer, PatchSplitting) else layer
        repeats = dense.bias.shape[0] // own.size  # depth to space has four of each
        dense.bias.set_value(jnp.asarray(np.tile(own, repeats), jnp.float32))
        dense.kernel.set_value(OUTPUT_DAMPING * dense.kernel[...])


def _scale_output(network: Any, factor: float) -> None:
    layers = [x for x in _flat(network) if not isinstance(x, Residual)]
    last = layers[-1]  # residual blocks behind it begin near the identity
    if isinstance(last, Conv):
        for weights in (last.kernel, last.bias):
            weights.set_value(factor * weights[...])


def _last_layers(network: Any, values: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """The layers that give the outputs, each with its share of `values`."""
    if isinstance(network, Network):
        yield from _last_layers(network.layers[-1], values)
    elif isinstance(network, Branches):
        shares = np.split(values, len(network.branches))
        for branch, share in zip(network.branches, shares, strict=True):
            yield from _last_layers(branch, share)
    else:
        yield network, values
