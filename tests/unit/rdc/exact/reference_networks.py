"""A second implementation of docs/format.md, numerics 1, in NumPy's integers.

It shares no code with `rdc.exact`: what it knows of a model are weights and structure.
Activations are int64[height, width, channels], multiples of 2^-16.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from scipy import special

from rdc.entropy_models.gaussian_step import GaussianParameters, GaussianStep
from rdc.entropy_models.spatial_step import SpatialStep
from rdc.layers import (
    Appended,
    Branches,
    Conv,
    DepthToSpace,
    LeakyRelu,
    Network,
    PatchSplitting,
    Relu,
    Residual,
    UpConv,
)
from rdc.layers.depthwise import ChunkSum, DepthwiseConv, SharpSilu
from rdc.layers.swin import Dense, LayerNorm, SwinBlock, WindowAttention
from rdc.model import CodePart, CompressionModel, run_coding_steps

LIMIT = 2**29 - 1
TABLES = {
    "tanh": (np.tanh, -8, 8),
    "exp": (np.exp, -16, 8),
    "erfc": (special.erfc, -4, 4),
}


class ReferenceNetworks:
    """A model's hyper-synthesis and coding steps, as `rdc.model.CodingNetworks`."""

    def __init__(self, model: CompressionModel):
        self.model = model

    def coding_steps(self, rate: float = 0) -> list[Any]:
        logs = log_gains(self.model.step_gains, rate)
        steps = [
            ReferenceSpatialStep(step)
            if isinstance(step, SpatialStep)
            else ReferenceStep(step, logs)
            for step in self.model.steps
        ]
        return [self.model.coding_steps()[0], *steps]

    def features(self, z_hat: np.ndarray) -> np.ndarray:
        features = network(self.model.hyper_synthesis, constant(z_hat[0]))
        if self.model.fusion is not None:
            features = network(self.model.fusion, features)
        return floats(features)

    def run(self, code: CodePart, rate: float = 0) -> np.ndarray:
        return run_coding_steps(self, code, rate)[0]


def log_gains(gains: Any, rate: float) -> np.ndarray | None:
    """The logarithms of y's gains of symbols, f32[C]."""
    if gains is None:
        return None
    stored = np.asarray(gains.stored_gain[...])
    r = min(int(rate), stored.shape[0] - 2)
    s = np.float32(rate - r)
    return np.float32(10) * ((np.float32(1) - s) * stored[r] + s * stored[r + 1])


class ReferenceStep:
    def __init__(self, step: GaussianStep, logs: np.ndarray | None):
        self.step, self.latent = step, step.latent
        self.shift = 0 if logs is None else step.select(logs).astype(np.float64)
        self.shift = self.shift * (63 / np.log(256 / 0.11))
        self.select, self.place = step.select, step.place

    def parameters(self, features: Any, y_hat: Any) -> GaussianParameters:
        step = self.step
        features = network(step.projection, constant(features[0]))
        support = np.zeros((*features.shape[:2], 0), np.int64)
        if step.support_channels:
            support = constant(y_hat[0, ..., : step.support_channels])

        def joined(first: int, end: int) -> np.ndarray:
            return np.concatenate([features[..., first:end], support], axis=-1)

        first, end = step.scale_features
        seen = (
            joined(first, end) if step.scale_sees_support else features[..., first:end]
        )
        scale = network(step.scale, seen)
        index = floats(saturated(shift(scale << 19, 16)) + 1175541)
        index = np.clip(index + self.shift, 0, 63)
        if step.mean_features is None:
            return GaussianParameters(0 * index, index, features[:0])
        seen = joined(*step.mean_features)
        mean = network(step.mean, seen)
        return GaussianParameters(floats(mean), index, floats(seen))

    def refine(self, part: np.ndarray, parameters: GaussianParameters) -> np.ndarray:
        step = self.step
        if step.lrp is None:
            return part
        part = constant(part[0])
        seen = np.concatenate([constant(parameters.mean_input[0]), part], axis=-1)
        residual = shift(32768 * look_up("tanh", network(step.lrp, seen)), 16)
        if step.lrp_merge is None:
            return floats(saturated(part + residual))
        both = np.concatenate([part, residual], axis=-1)
        return floats(network(step.lrp_merge, both))


class ReferenceSpatialStep:
    def __init__(self, step: SpatialStep):
        self.step, self.latent, self.place = step, step.latent, step.pattern.place

    def parameters(self, features: Any, y_hat: Any) -> GaussianParameters:
        step, n = self.step, self.step.latent_channels
        features = constant(features[0])
        count = 2 + step.adaptive_steps
        parts = np.split(features[..., : count * n], count, axis=-1)
        steps = np.maximum(parts[0], 2**15) if step.adaptive_steps else None
        scale, mean = parts[-2:]
        if step.network is not None:
            decoded = constant(y_hat[0])
            if steps is not None:
                decoded = saturated(divided(decoded << 16, steps))
            context = features[..., step.context[0] : step.context[1]]
            found = network(step.network, np.concatenate([decoded, context], -1))
            mean = found[..., -n:]
            if step.network_gives_scales:
                scale = found[..., :n]
        scale, mean = self.taken(scale), self.taken(mean)
        index = floats(saturated(shift(scale << 19, 16)) + 1175541)
        index = np.clip(index, 0, 63)
        if steps is None:
            return GaussianParameters(floats(mean), index, index[..., :0])
        steps = self.taken(steps)
        mean = multiplied(mean, steps)
        return GaussianParameters(floats(mean), index, index[..., :0], floats(steps))

    def taken(self, a: np.ndarray) -> np.ndarray:
        """Of every position the group that this pass codes there."""
        groups = self.step.pattern.groups
        parts = np.split(a, 1 + max(map(max, groups)), axis=-1)
        out = np.empty_like(parts[0])
        for row, column in np.ndindex(2, 2):
            out[row::2, column::2] = parts[groups[row][column]][row::2, column::2]
        return out

    def refine(self, part: np.ndarray, parameters: GaussianParameters) -> np.ndarray:
        return part


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rounded towards zero."""
    return np.sign(a) * (np.abs(a) // b)


def network(layer: Any, a: np.ndarray) -> np.ndarray:
    if isinstance(layer, Network):
        for inner in layer.layers:
            a = network(inner, a)
        return a
    if isinstance(layer, Branches):
        return np.concatenate([network(b, a) for b in layer.branches], axis=-1)
    if isinstance(layer, Relu):
        return np.maximum(a, 0)
    if isinstance(layer, Conv):
        return biased(convolution(a, array(layer.kernel)), layer)
    if isinstance(layer, UpConv):
        return biased(transposed_convolution(a, array(layer.kernel)), layer)
    if isinstance(layer, Dense):
        return biased(products(a, array(layer.kernel)), layer)
    if isinstance(layer, LayerNorm):
        return layer_norm(layer, a)
    if isinstance(layer, SwinBlock):
        return swin_block(layer, a)
    if isinstance(layer, LeakyRelu):
        return np.maximum(a, multiplied(a, constant(layer.slope)))
    if isinstance(layer, SharpSilu):
        half = shift(32768 * look_up("tanh", saturated(2 * a)), 16)
        return multiplied(a, half + 32768)
    if isinstance(layer, ChunkSum):
        one, two, three, four = np.split(a, 4, axis=-1)
        return saturated(saturated(saturated(one + two) + three) + four)
    if isinstance(layer, Residual):
        return saturated(network(layer.shortcut, a) + network(layer.branch, a))
    if isinstance(layer, Appended):
        return np.concatenate([a, network(layer.network, a)], axis=-1)
    if isinstance(layer, DepthwiseConv):
        return biased(depthwise(a, array(layer.kernel)), layer)
    if isinstance(layer, DepthToSpace):
        return depth_to_space(a)
    assert isinstance(layer, PatchSplitting), layer
    return depth_to_space(network(layer.dense, network(layer.norm, a)))


def depth_to_space(a: np.ndarray) -> np.ndarray:
    height, width, channels = a.shape
    a = a.reshape(height, width, 2, 2, channels // 4).transpose(0, 2, 1, 3, 4)
    return a.reshape(2 * height, 2 * width, channels // 4)


def array(parameter: Any) -> np.ndarray:
    return np.asarray(parameter[...], np.float64)


def constant(values: Any) -> np.ndarray:
    return saturated(np.rint(np.asarray(values, np.float64) * 2**16)).astype(np.int64)


def floats(a: np.ndarray) -> np.ndarray:
    return a[None] / 2**16


def saturated(a: np.ndarray) -> np.ndarray:
    return np.clip(a, -LIMIT, LIMIT)


def shift(a: Any, n: Any) -> Any:
    return (a + ((1 << n) >> 1)) >> n


def multiplied(a: np.ndarray, b: Any) -> np.ndarray:
    return saturated(shift(a * b, 16))


def look_up(name: str, a: np.ndarray) -> np.ndarray:
    function, first, last = TABLES[name]
    grid = np.clip(shift(a, 4), first << 12, last << 12)
    return np.rint(function(grid / 2**12) * 2**16).astype(np.int64)


def biased(a: np.ndarray, layer: Any) -> np.ndarray:
    return saturated(a + constant(array(layer.bias)))


def products(a: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[..., inputs] with weights [inputs, outputs]."""
    fine = np.rint(weights * 2**24).astype(np.int64)
    dropped = max(int(np.abs(fine).sum(axis=0).max()).bit_length() - 22, 0)
    return saturated(shift(a @ shift(fine, dropped), 24 - dropped))


def taken(a: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """a at positions moved by `rows` and `columns`, zero outside."""
    height, width, _ = a.shape
    margin = max(abs(rows), abs(columns))
    padded = np.pad(a, ((margin, margin), (margin, margin), (0, 0)))
    top, left = margin + rows, margin + columns
    return padded[top : top + height, left : left + width]


def convolution(a: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    k, outputs = kernel.shape[0], kernel.shape[-1]
    taps = [(i, j) for i in range(k) for j in range(k)]
    patches = [taken(a, i - k // 2, j - k // 2) for i, j in taps]
    return products(np.concatenate(patches, -1), kernel.reshape(-1, outputs))


def depthwise(a: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """As `products`, of every channel by itself; one number of bits for all."""
    fine = np.rint(kernel[:, :, 0] * 2**24).astype(np.int64)
    dropped = max(int(np.abs(fine).sum((0, 1)).max()).bit_length() - 22, 0)
    weights = shift(fine, dropped)
    k = kernel.shape[0]
    total = sum(
        taken(a, i - k // 2, j - k // 2) * weights[i, j] for i, j in np.ndindex(k, k)
    )
    return saturated(shift(total, 24 - dropped))


def transposed_convolution(a: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """out[2 m + parity] takes the taps t = parity + pad (mod 2)."""
    height, width, _ = a.shape
    k, outputs = kernel.shape[0], kernel.shape[-1]
    out = np.zeros((2 * height, 2 * width, outputs), np.int64)
    for p, q in np.ndindex(2, 2):
        taps = [
            (i, j)
            for i, j in np.ndindex(k, k)
            if (p + k // 2 - i) % 2 == 0 and (q + k // 2 - j) % 2 == 0
        ]
        patches = [
            taken(a, (p + k // 2 - i) // 2, (q + k // 2 - j) // 2) for i, j in taps
        ]
        weights = np.concatenate([kernel[i, j] for i, j in taps])
        out[p::2, q::2] = products(np.concatenate(patches, -1), weights)
    return out


def layer_norm(layer: LayerNorm, a: np.ndarray) -> np.ndarray:
    rows = [normalised(row.tolist()) for row in a.reshape(-1, a.shape[-1])]
    scaled = multiplied(np.array(rows).reshape(a.shape), constant(array(layer.gain)))
    return saturated(scaled + constant(array(layer.offset)))


def normalised(a: list[int]) -> list[int]:
    """The routine for one position, in Python's integers."""
    n = len(a)
    mean = (32 * sum(a) + n) // (2 * n)
    d = [16 * value - mean for value in a]
    s = max(max(map(abs, d)).bit_length() - 25, 0)
    v = (sum(shift(value, s) ** 2 for value in d) << 10) // n
    v += 11258999068 >> 2 * s
    h = (v.bit_length() - 21) // 2
    r = isqrt(2**62 // (v >> 2 * h))
    return [shift(value * r, 10 + h + s) for value in d]


def swin_block(block: SwinBlock, a: np.ndarray) -> np.ndarray:
    a = saturated(a + attention(block.attention, network(block.attention_norm, a)))
    x = network(block.mlp_in, network(block.mlp_norm, a))
    tail = look_up("erfc", multiplied(-x, 46341))
    hidden = multiplied(multiplied(x, 32768), tail)
    return saturated(a + network(block.mlp_out, hidden))


def attention(layer: WindowAttention, a: np.ndarray) -> np.ndarray:
    w = layer.window
    height, width, channels = a.shape
    padded = [-(-side // w) * w for side in (height, width)]
    rolls = [w // 2 if layer.shifted and side > w else 0 for side in padded]
    a = np.pad(a, ((0, padded[0] - height), (0, padded[1] - width), (0, 0)))
    a = np.roll(a, (-rolls[0], -rolls[1]), (0, 1))
    rows, columns = (
        np.roll(np.arange(side), -roll)
        for side, roll in zip(padded, rolls, strict=True)
    )
    out = np.empty_like(a)
    for top in range(0, padded[0], w):
        for left in range(0, padded[1], w):
            place = np.s_[top : top + w, left : left + w]
            kinds = [
                (
                    row >= height,
                    column >= width,
                    top + i >= padded[0] - rolls[0],
                    left + j >= padded[1] - rolls[1],
                )
                for i, row in enumerate(rows[top : top + w])
                for j, column in enumerate(columns[left : left + w])
            ]
            window = a[place].reshape(w * w, channels)
            out[place] = within(layer, window, kinds).reshape(w, w, channels)
    out = network(layer.projection, out)
    return np.roll(out, rolls, (0, 1))[:height, :width]


def within(layer: WindowAttention, a: np.ndarray, kinds: list[tuple]) -> np.ndarray:
    w, size = layer.window, layer.head_dim
    query, key, value = np.split(network(layer.qkv, a), 3, axis=-1)
    position = [(i, j) for i in range(w) for j in range(w)]
    entry = [
        [(i - k + w - 1) * (2 * w - 1) + j - m + w - 1 for k, m in position]
        for i, j in position
    ]
    allowed = np.array([[one == other for other in kinds] for one in kinds])
    bias = constant(array(layer.position_bias))
    heads = []
    for head in range(a.shape[-1] // size):
        part = np.s_[:, head * size : (head + 1) * size]
        scaled = multiplied(query[part], int(np.rint(2**16 / size**0.5)))
        logits = saturated(pair(scaled, key[part].T) + bias[entry, head])
        logits = np.where(allowed, logits, -LIMIT)
        e = look_up("exp", saturated(logits - logits.max(-1, keepdims=True)))
        weights = (e << 16) // e.sum(-1, keepdims=True)
        heads.append(pair(weights, value[part]))
    return np.concatenate(heads, axis=-1)


def pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (np.clip(v, -(2**22), 2**22) for v in (a, b))
    return saturated(shift(a @ b, 16))
