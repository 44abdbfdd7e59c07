"""Components behind LayerNorm: two constant channels carry the scale through it.

A LayerNorm divides by the deviation of its input and so forgets how large that was.
With two channels at A and -A, far larger than all others, the deviation is that of
these, nearly, and the norm is a linear map, which the Dense behind it undoes:

    n_i = (s_i - mean) / sigma,   n_A + n_-A = -2 mean / sigma
    s_i = sigma (n_i - (n_A + n_-A) / 2)

(One carrier would do, but errors of sigma would then be errors of A, not of s_i.) The
last two channels of every stage, and of the latents, are these carriers.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from rdc.layers import Network
from rdc.layers.swin import PatchMerging, PatchSplitting
from rdc.ops.convolution import space_to_depth

# Of a carrier over the root mean square of the signal's norm: by half the square of its
# inverse does the deviation vary with the signal.
RATIO = 8.0
CARRIERS = 2
# Of the weights of all other outputs, which would change the deviation.
OTHERS = 0.01


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
        _behind_norm(kernel, rows, carriers, count, sigma)
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
        _behind_norm(inverse, np.arange(count), last, columns.size, sigma)
    kernel[:, columns], bias[columns] = inverse, 0.0
    if features.constant:
        outputs = np.arange(4)[:, None] * after + after - CARRIERS + np.arange(CARRIERS)
        kernel[:, outputs] = 0.0
        bias[outputs] = features.constant, -features.constant
    split.dense.kernel.set_value(jnp.asarray(kernel))
    split.dense.bias.set_value(jnp.asarray(bias))
    return features.through(components * forth, width, constant)


def _behind_norm(
    kernel: np.ndarray,
    rows: np.ndarray,
    carriers: np.ndarray,
    count: int,
    sigma: float,
) -> None:
    """Makes the first `count` outputs those of the input before LayerNorm."""
    sums = kernel[rows, :count].sum(0)
    kernel[rows, :count] *= sigma
    kernel[carriers, :count] = -sigma * sums / len(carriers)
