"""Convolutions on NHWC, and the one place that chooses how to upsample."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

UpsamplingForm = Literal["phases", "dilated"]

# Per backend, measured on CPU (2 threads): the weight gradient of the dilated form is
# 10 x slower there. GPU and TPU: not measured; the exact phase form is the default.
UPSAMPLING_FORM: dict[str, UpsamplingForm] = {"default": "phases"}

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """f32[B,H,W,I] * f32[k,k,I,O] -> f32[B,H/stride,W/stride,O].

    Zero padding of (k-1)/2 on every side, so that output position i is centred on
    input position i * stride (PyTorch's `padding=k//2`; JAX's `SAME` differs by one
    pixel where stride is 2).
    """
    pad = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=_LAYOUT
    )


def upsample(
    x: jax.Array, kernel: jax.Array, form: UpsamplingForm | None = None
) -> jax.Array:
    """Transposed convolution of stride 2: f32[B,H,W,I] -> f32[B,2H,2W,O].

    out[o] = sum_i x[i] kernel[o - 2 i + (k-1)/2] along each axis: the alignment of
    PyTorch's `ConvTranspose2d(k, stride=2, padding=k//2, output_padding=1)`.

    Args:
      kernel: f32[k,k,I,O], k odd.
      form: `phases` computes the four output parities as small convolutions and
        interleaves them; `dilated` asks XLA for the same sum. Equal up to rounding.
    """
    if form is None:
        form = UPSAMPLING_FORM.get(jax.default_backend(), UPSAMPLING_FORM["default"])
    return _upsample_phases(x, kernel) if form == "phases" else _dilated(x, kernel)


def _dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    k = kernel.shape[0]
    pad = (k - 1) // 2
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel, (0, 1)),
        (1, 1),
        [(k - 1 - pad, k - pad)] * 2,
        lhs_dilation=(2, 2),
        dimension_numbers=_LAYOUT,
    )


def _upsample_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    batch, height, width, _ = x.shape
    k, out_channels = kernel.shape[0], kernel.shape[3]
    rows = []
    for row in range(2):
        columns = []
        for column in range(2):
            (top, row_pads), (left, column_pads) = _phase(k, row), _phase(k, column)
            # Flipped, because a convolution layer correlates.
            part = jnp.flip(kernel[top::2, left::2], (0, 1))
            columns.append(
                lax.conv_general_dilated(
                    x, part, (1, 1), [row_pads, column_pads], dimension_numbers=_LAYOUT
                )
            )
        rows.append(jnp.stack(columns, axis=3))
    out = jnp.stack(rows, axis=2)  # [B, H, row, W, column, O]
    return out.reshape(batch, 2 * height, 2 * width, out_channels)


def _phase(k: int, parity: int) -> tuple[int, tuple[int, int]]:
    """First kernel tap and input padding of one output parity along one axis.

    Output 2 m + parity takes taps t = parity + pad (mod 2) of the kernel, each at
    input position m + (parity + pad - t) / 2.
    """
    pad = (k - 1) // 2
    first = (parity + pad) % 2
    last = first + 2 * ((k - 1 - first) // 2)
    after = (parity + pad - first) // 2
    before = -((parity + pad - last) // 2)
    return first, (before, after)


def space_to_depth(x: jax.Array) -> jax.Array:
    """f32[B,H,W,C] -> f32[B,H/2,W/2,4C]; H and W even."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


def depth_to_space(x: jax.Array) -> jax.Array:
    """f32[B,H,W,4C] -> f32[B,2H,2W,C], the inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, c // 4)
