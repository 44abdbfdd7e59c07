"""Convolutions on NHWC, and the one place that chooses how to upsample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, reduce
from itertools import starmap
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from rdc.ops.backend import backend
from rdc.ops.borders import zero_beyond_border
from rdc.ops.products import channel_product
from rdc.ops.winograd import convolve_3x3, products_bytes

UpsamplingForm = Literal["phases", "dilated", "winograd"]

# On CPU, `winograd` pays its transform of the kernel from about so many positions on,
# and may hold so much memory for it. `dilated` is the fastest of all into pixels.
WINOGRAD_POSITIONS = 1024
WINOGRAD_CHANNELS = 32
WINOGRAD_BYTES = 256 * 2**20
PIXEL_CHANNELS = 4


def _fastest_on_cpu(x: tuple[int, ...], kernel: tuple[int, ...]) -> UpsamplingForm:
    """Of the shapes of input and kernel; measured in docs/results/decode_cpu.md."""
    batch, height, width, channels = x
    k, out_channels = kernel[0], kernel[3]
    if out_channels <= PIXEL_CHANNELS:
        return "dilated"
    if (
        k == 5
        and min(channels, out_channels) >= WINOGRAD_CHANNELS
        and batch * height * width >= WINOGRAD_POSITIONS
        and products_bytes(batch, height, width, 4 * out_channels) <= WINOGRAD_BYTES
    ):
        return "winograd"
    return "phases"


# The fastest form per backend, of the shapes of input and kernel. GPU and TPU: not
# measured.
UPSAMPLING_FORM: dict[
    str, Callable[[tuple[int, ...], tuple[int, ...]], UpsamplingForm]
] = {"cpu": _fastest_on_cpu, "default": lambda _x, _kernel: "phases"}

_FIXED_FORM: ContextVar[UpsamplingForm | None] = ContextVar("form", default=None)

# On CPU, XLA's grouped convolutions are far slower than sums of shifted maps.
# GPU and TPU: not measured.
DEPTHWISE_SHIFTED_ON = ("cpu",)

# On CPU the kernel's gradient is summed over images where an image has at least so many
# output positions: up to 2 x faster than over the whole batch, which leaves the caches.
PER_IMAGE_POSITIONS = 4096

_LAYOUT = ("NHWC", "HWIO", "NHWC")


@contextmanager
def fixed_convolution_forms(form: UpsamplingForm) -> Iterator[None]:
    """Traces every upsampling in this form, whatever `UPSAMPLING_FORM` says, and
    depthwise convolutions as convolutions.

    For what must be computed alike everywhere: in integers the forms differ.
    """
    token = _FIXED_FORM.set(form)
    try:
        yield
    finally:
        _FIXED_FORM.reset(token)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """f32[B,H,W,I] * f32[k,k,I,O] -> f32[B,H/stride,W/stride,O].

    Zero padding of (k-1)/2 on every side, so that output position i is centred on
    input position i * stride (PyTorch's `padding=k//2`; JAX's `SAME` differs by one
    pixel where stride is 2). Beyond an `image_border`, the input counts as zero.

    Args:
      kernel: k odd.
      stride: 1 or 2.
    """
    if kernel.shape[0] == 1:
        return channel_product(x[:, ::stride, ::stride], kernel[0, 0])
    return _convolve(zero_beyond_border(x), kernel, stride)


def depthwise_convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """f32[B,H,W,C] * f32[k,k,1,C] -> f32[B,H,W,C]: every channel by itself.

    Zero padding of (k-1)/2 on every side, k odd; beyond an `image_border`, the input
    counts as zero.
    """
    x = zero_beyond_border(x)
    k, _, _, channels = kernel.shape
    pad = (k - 1) // 2
    if _FIXED_FORM.get() is None and backend() in DEPTHWISE_SHIFTED_ON:
        height, width = x.shape[1:3]
        padded = jnp.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
        shifted = [
            padded[:, row : row + height, column : column + width]
            * kernel[row, column, 0]
            for row in range(k)
            for column in range(k)
        ]
        return reduce(jnp.add, shifted)
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        [(pad, pad)] * 2,
        dimension_numbers=_LAYOUT,
        feature_group_count=channels,
    )


def convolve_padded(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, dilation: int = 1
) -> jax.Array:
    """As `convolve`, with `padding` zeros on every side and any k.

    Taps lie `dilation` positions apart.

    Without an `image_border`: the maps of an even k do not divide a canvas.
    """
    if dilation == 1 and kernel.shape[0] == 2 * padding + 1:
        return convolve(x, kernel, stride)
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_LAYOUT,
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
        interleaves them; `dilated` asks XLA for the same sum; `winograd`, of kernels
        up to 5, makes one 3x3 convolution of the four and saves most of its products.
        Equal up to rounding. None: what `fixed_convolution_forms` or `UPSAMPLING_FORM`
        says. What is differentiated is computed in phases.
    """
    form = form or _FIXED_FORM.get()
    if form is None:
        choose = UPSAMPLING_FORM.get(backend(), UPSAMPLING_FORM["default"])
        form = choose(x.shape, kernel.shape)
    return _upsample(zero_beyond_border(x), kernel, form)


# A convolution of stride 2 and the upsampling with its kernel are each other's
# transpose, so that each is the other's input gradient. XLA's own are dilated
# convolutions, on CPU up to 20 x slower.


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return _plain(x, kernel, stride)


def _convolve_forward(
    x: jax.Array, kernel: jax.Array, stride: int
) -> tuple[jax.Array, tuple]:
    return _plain(x, kernel, stride), (x, kernel)


def _convolve_backward(
    stride: int, residuals: tuple, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    transposed = kernel.swapaxes(2, 3)
    if stride == 1:
        x_gradient = _plain(gradient, jnp.flip(transposed, (0, 1)), 1)
    else:
        height, width = x.shape[1:3]
        x_gradient = _phases(gradient, transposed)[:, :height, :width]
    return x_gradient, _kernel_gradient(x, kernel, gradient, stride)


_convolve.defvjp(_convolve_forward, _convolve_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _upsample(x: jax.Array, kernel: jax.Array, form: UpsamplingForm) -> jax.Array:
    return _FORMS[form](x, kernel)


def _upsample_forward(
    x: jax.Array, kernel: jax.Array, _form: UpsamplingForm
) -> tuple[jax.Array, tuple]:
    # Whatever the form of inference, so that a training gives what it gave.
    return _phases(x, kernel), (x, kernel)


def _upsample_backward(
    _form: UpsamplingForm, residuals: tuple, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    transposed = kernel.swapaxes(2, 3)
    kernel_gradient = _kernel_gradient(gradient, transposed, x, 2).swapaxes(2, 3)
    return _plain(gradient, transposed, 2), kernel_gradient


_upsample.defvjp(_upsample_forward, _upsample_backward)


def _kernel_gradient(
    x: jax.Array, kernel: jax.Array, gradient: jax.Array, stride: int
) -> jax.Array:
    """Of a convolution of `x`, from the gradient of its output."""

    def of(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(lambda k: _plain(x, k, stride), kernel)[1](gradient)[0]

    positions = gradient.shape[1] * gradient.shape[2]
    if backend() != "cpu" or positions < PER_IMAGE_POSITIONS:
        return of(x, gradient)
    # Not by `lax.scan`: in its body, XLA's convolutions on CPU are 30 x slower.
    parts = zip(*(jnp.split(a, x.shape[0]) for a in (x, gradient)), strict=True)
    return reduce(jnp.add, starmap(of, parts))


def _plain(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    pad = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=_LAYOUT
    )


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


def _phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
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


def _winograd(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return depth_to_space(convolve_3x3(x, _one_kernel(kernel)))


def _one_kernel(kernel: jax.Array) -> jax.Array:
    """f32[k,k,I,O], k of 3 or 5 -> f32[3,3,I,4O]: the phases' kernels, zeros around."""
    k = kernel.shape[0]
    parts = []
    for row in range(2):
        for column in range(2):
            (top, row_pads), (left, column_pads) = _phase(k, row), _phase(k, column)
            part = jnp.flip(kernel[top::2, left::2], (0, 1))
            zeros = [
                (1 - before, 1 - after) for before, after in (row_pads, column_pads)
            ]
            parts.append(jnp.pad(part, (*zeros, (0, 0), (0, 0))))
    return jnp.concatenate(parts, axis=3)


_FORMS: dict[UpsamplingForm, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "phases": _phases,
    "dilated": _dilated,
    "winograd": _winograd,
}


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
