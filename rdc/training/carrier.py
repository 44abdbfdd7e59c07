"""Components behind LayerNorm: two constant channels carry the scale through it.

A LayerNorm divides by the deviation of its input and so forgets how large that was.
With two channels at A and -A, far larger than all others, the deviation is that of
these, nearly, and the norm is a linear map. Its gains give the deviation back, and the
Dense behind it the mean over all C channels, of which c carry signals and the others
next to nothing:

    g_i = sigma n_i = s_i - mean,   sum of g_i = (C - c) mean
    s_i = g_i + sum of g_j / (C - c)

The last two channels of every stage, and of the latents, are these carriers. Behind a
norm their gain is 0, and so are the weights that read them: no output is a small
difference of large products, which bfloat16 or the matrix units of a GPU would lose,
and no gradient wakes them. (The carriers read with their full size gave models that
were good where they were trained and bad everywhere else.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from rdc.layers import Network
from rdc.layers.swin import LayerNorm, PatchMerging, PatchSplitting, SwinBlock
from rdc.ops.convolution import space_to_depth

# Of a carrier over the root mean square of the signal's norm: by half the square of its
# inverse does the deviation vary with the signal.
RATIO = 8.0
CARRIERS = 2
# Of the weights of all other outputs, which would change the deviation.
OTHERS = 0.01
# Of a signal over the largest one's, behind the norms of attention and MLP.
LEAST_DEVIATION = 0.05


@dataclass(frozen=True)
class Features:
    """Linear features of crops between two stages.

    Attributes:
      signal: f32[B,H,W,k], without carrier.
      channels: of the real feature map; the last two are carriers, if there are any.
      constant: value of the carriers, A; 0: there are none.
    """

    signal: np.ndarray
    channels: int = 0
    constant: float = 0.0

    @property
    def signals(self) -> int:
        return self.signal.shape[-1]

    def blocks(self) -> np.ndarray:
        """f32[B H/2 W/2, 4 k], 2x2 blocks."""
        blocks = np.asarray(space_to_depth(jnp.asarray(self.signal)))
        return blocks.reshape(-1, blocks.shape[-1])

    def through(
        self, components: np.ndarray, channels: int = 0, constant: float = 0.0
    ) -> Features:
        """The features after a stage with these components."""
        batch, height, width, _ = self.signal.shape
        signal = self.blocks() @ components
        shape = (batch, height // 2, width // 2, components.shape[-1])
        return Features(signal.reshape(shape), channels, constant)


def place(
    merge: PatchMerging,
    split: PatchSplitting,
    components: np.ndarray,
    features: Features,
    forth: float,
    back: float,
) -> Features:
    """Sets both layers to `components` and their transpose; the features behind.

    Args:
      components: f32[4 k, n], orthonormal.
      forth, back: gains of the two directions.
    """
    signals, count = features.signals, components.shape[-1]
    width = merge.dense.kernel.shape[-1]
    size = np.sqrt(np.square(features.blocks() @ (components * forth)).sum(-1).mean())
    constant = float(np.ceil(RATIO * size))
    before = features.channels or signals
    # Of the four positions of a block, the places of signals and of carriers.
    positions = np.arange(4)[:, None] * before
    rows = (positions + np.arange(signals)).ravel()
    carriers = (positions + before - CARRIERS + np.arange(CARRIERS)).ravel()

    kernel = OTHERS * np.array(merge.dense.kernel[...])
    bias = OTHERS * np.array(merge.dense.bias[...])
    kernel[:, :count] = 0.0
    kernel[rows, :count] = components * forth
    bias[:count] = 0.0
    if not isinstance(merge.norm, Network):
        sigma = features.constant * np.sqrt(CARRIERS / before)
        _set_norm(merge.norm, rows, carriers, sigma)
        kernel[rows, :count] += components.sum(0) * forth / (4 * (before - signals))
        kernel[carriers] = 0.0
    kernel[:, -CARRIERS:], bias[-CARRIERS:] = 0.0, (constant, -constant)
    merge.dense.kernel.set_value(jnp.asarray(kernel))
    merge.dense.bias.set_value(jnp.asarray(bias))

    after = split.dense.bias.shape[0] // 4
    columns = (np.arange(4)[:, None] * after + np.arange(signals)).ravel()
    kernel = OTHERS * np.array(split.dense.kernel[...])
    bias = OTHERS * np.array(split.dense.bias[...])
    inverse = np.zeros((width, columns.size), np.float32)
    inverse[:count] = components.T * back
    if not isinstance(split.norm, Network):
        sigma = constant * np.sqrt(CARRIERS / width)
        last = np.arange(width - CARRIERS, width)
        _set_norm(split.norm, np.arange(count), last, sigma)
        inverse[:count] += inverse.sum(0) / (width - count)
        kernel[last] = 0.0
    kernel[:, columns], bias[columns] = inverse, 0.0
    if features.constant:
        outputs = np.arange(4)[:, None] * after + after - CARRIERS + np.arange(CARRIERS)
        kernel[:, outputs] = 0.0
        bias[outputs] = features.constant, -features.constant
    split.dense.kernel.set_value(jnp.asarray(kernel))
    split.dense.bias.set_value(jnp.asarray(bias))
    return features.through(components * forth, width, constant)


def standardise(block: SwinBlock, features: Features) -> None:
    """The signals come into attention and MLP with mean 0 and equal deviations.

    Without it the largest are a `RATIO`-th of the carriers, and the others far less.
    They keep that size: at 1, short trainings learn what holds for their few images
    alone (23 dB on another photograph, where this start gives 32).
    """
    signal = features.signal.reshape(-1, features.signals)
    sigma = features.constant * np.sqrt(CARRIERS / features.channels)
    deviation = signal.std(0)
    deviation = np.maximum(deviation, LEAST_DEVIATION * deviation.max())
    last = np.arange(features.channels - CARRIERS, features.channels)
    for norm, dense in (
        (block.attention_norm, block.attention.qkv),
        (block.mlp_norm, block.mlp_in),
    ):
        gain = 1.0 / (RATIO * deviation)
        _set_norm(norm, np.arange(features.signals), last, sigma * gain)
        offset = np.array(norm.offset[...])
        # The mean over channels comes with the signals: it is small beside them.
        offset[: features.signals] = -signal.mean(0) * gain
        norm.offset.set_value(jnp.asarray(offset))
        kernel = np.array(dense.kernel[...])
        kernel[last] = 0.0
        dense.kernel.set_value(jnp.asarray(kernel))


def _set_norm(
    norm: LayerNorm, signals: np.ndarray, carriers: np.ndarray, gain: Any
) -> None:
    """`gain` for the signals, a number or one for each; none for the carriers."""
    gains = np.array(norm.gain[...])
    gains[signals], gains[carriers] = gain, 0.0
    norm.gain.set_value(jnp.asarray(gains))
