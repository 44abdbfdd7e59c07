"""3x3 convolutions with a quarter of the products, for CPUs.

Winograd's minimal filtering F(4x4, 3x3) as in Lavin & Gray 2016 (arXiv 1509.09308,
section 4.3): 36 products give 4x4 outputs that take 144 as they are.

    x -> tiles of 6x6, by 4 -> input transform -> product over channels, 36 times
      -> output transform -> tiles of 4x4

The transforms are products with constant matrices, too: elementwise sums compile
10 x longer and run no faster.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

TILE = 4  # outputs along each axis
_TAPS = 6  # inputs that they see

_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_KERNEL = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float32,
)
_OUTPUT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    np.float32,
)


def products_bytes(batch: int, height: int, width: int, channels: int) -> int:
    """Of the largest array that `convolve_3x3` holds beside its output."""
    tiles = batch * -(-height // TILE) * -(-width // TILE)
    return 4 * _TAPS**2 * tiles * channels


def convolve_3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """f32[B,H,W,I] * f32[3,3,I,O] -> f32[B,H,W,O], zeros around the image.

    Equal to the convolution within 2e-4 of the output's standard deviation.
    """
    batch, height, width, channels = x.shape
    out_channels = kernel.shape[-1]
    rows, columns = -(-height // TILE), -(-width // TILE)
    x = jnp.pad(
        x,
        (
            (0, 0),
            (1, TILE * rows - height + 1),
            (1, TILE * columns - width + 1),
            (0, 0),
        ),
    )
    # The taps are axis 0: products of a small matrix with one of very many columns.
    taps = jnp.stack([_every_fourth(x, tap, rows, 1) for tap in range(_TAPS)])
    by_row = _product(_INPUT, taps)  # [6, B, rows, W, I]
    taps = jnp.stack([_every_fourth(by_row, tap, columns, 3) for tap in range(_TAPS)])
    tiles = _product(_INPUT, taps)  # [6, 6, B, rows, columns, I], columns' taps first
    tiles = tiles.reshape(_TAPS**2, -1, channels)
    # np.kron: both axes at once.
    kernels = _product(np.kron(_KERNEL, _KERNEL), _columns_first(kernel))
    products = jnp.einsum("pti,pio->pto", tiles, kernels)
    outputs = _product(np.kron(_OUTPUT, _OUTPUT), products)
    outputs = outputs.reshape(TILE, TILE, batch, rows, columns, out_channels)
    outputs = outputs.transpose(2, 3, 1, 4, 0, 5)
    outputs = outputs.reshape(batch, TILE * rows, TILE * columns, out_channels)
    return outputs[:, :height, :width]


def _columns_first(kernel: jax.Array) -> jax.Array:
    """f32[3,3,I,O] -> f32[9,I,O], taps along a row slowest."""
    return kernel.swapaxes(0, 1).reshape(9, *kernel.shape[2:])


def _every_fourth(x: jax.Array, start: int, number: int, axis: int) -> jax.Array:
    last = start + TILE * (number - 1) + 1
    return jax.lax.slice_in_dim(x, start, last, TILE, axis)


def _product(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """Over axis 0 of `x`."""
    return jnp.tensordot(matrix.astype(x.dtype), x, 1)
