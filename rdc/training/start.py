"""A start for convolutional transforms that is a transform codec already.

From random weights, thousands of steps pass before the latents are large enough to
carry an image at all. Here the strided convolutions begin as principal components of
2x2 blocks of the features before them, computed on crops of the training images, and
the synthesis as their transpose: a 16x16 block transform in four stages, adapted to
the data. Channels beyond the components, and all other layers, begin as they were.
"""

from __future__ import annotations

import numpy as np

from rdc.layers import Conv, Gdn, UpConv
from rdc.model import CompressionModel
from rdc.ops.gdn import stored_nonnegative

START_CROPS = 128
# Of y: rounding then costs about what lmbda = 0.0125 asks for.
LATENT_GAIN = 5.0
# GDN's inverse is approximate: with more, the stages would not undo each other.
GDN_GAMMA = 0.005


def start_from_principal_components(model: CompressionModel, x: np.ndarray) -> None:
    """Sets the weights of both transforms of `model`.

    Args:
      model: with a `conv` transform.
      x: u8[B,H,W,3], crops of training images; H and W multiples of 16.
    """
    down = [p for p in model.analysis_transform.layers if isinstance(p, Conv)]
    up = [p for p in model.synthesis_transform.layers if isinstance(p, UpConv)]
    for network in (model.analysis_transform, model.synthesis_transform):
        for layer in network.layers:
            if isinstance(layer, Gdn):
                gamma = np.array(layer.gamma[...])
                np.fill_diagonal(gamma, stored_nonnegative(GDN_GAMMA))
                layer.gamma.set_value(gamma)
    features = x.astype(np.float32) / 255.0
    for i, (analysis, synthesis) in enumerate(zip(down, reversed(up), strict=True)):
        channels = features.shape[-1]
        blocks = _blocks(features)
        components = _principal_components(blocks, analysis.kernel.shape[-1])
        count = components.shape[-1]
        batch, height, width, _ = features.shape
        features = (blocks @ components).reshape(batch, height // 2, width // 2, count)

        gain = LATENT_GAIN if i == len(down) - 1 else 1.0
        weights = components.reshape(2, 2, channels, count)
        _place(analysis, weights * gain, slice(None), slice(0, count))
        _place(synthesis, weights.swapaxes(2, 3) / gain, slice(0, count), slice(None))


def _blocks(features: np.ndarray) -> np.ndarray:
    """f32[B,H,W,C] -> f32[B H/2 W/2, 4 C], 2x2 blocks."""
    b, h, w, c = features.shape
    blocks = features.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(-1, 4 * c)


def _principal_components(blocks: np.ndarray, most: int) -> np.ndarray:
    """f32[D, min(D, most)], orthonormal, of the largest second moments."""
    _, vectors = np.linalg.eigh(blocks.T @ blocks / len(blocks))
    return vectors[:, ::-1][:, :most]


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
    layer.kernel.set_value(kernel)
    layer.bias.set_value(np.zeros_like(layer.bias[...]))
