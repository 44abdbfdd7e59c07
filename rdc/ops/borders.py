"""Where the image ends on a canvas that is larger: zero padding begins there.

A program is compiled for the size of a canvas. An image that does not fill it lies at
its top left, and what is beyond the image must not be seen from inside: every
convolution of more than one tap reads zeros there, as it does beyond the border of an
image that has the canvas for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax


@dataclass(frozen=True)
class ImageBorder:
    """The image at the top left of a canvas.

    Attributes:
      canvas_px: height and width of what the program is compiled for.
      image_px: i32[2], height and width of the image with its padding; of any map of
        the network, its part is whole.
    """

    canvas_px: tuple[int, int]
    image_px: jax.Array


_BORDER: ContextVar[ImageBorder | None] = ContextVar("border", default=None)


@contextmanager
def image_border(border: ImageBorder | None) -> Iterator[None]:
    """Traces convolutions so that they see zeros beyond the border; None: no border
    but the array's own.
    """
    token = _BORDER.set(border)
    try:
        yield
    finally:
        _BORDER.reset(token)


def image_sides(x: jax.Array) -> tuple[jax.Array, jax.Array] | None:
    """Rows and columns of a map f32[B,H,W,C] that are the image's, i32; None where
    nobody set a border."""
    border = _BORDER.get()
    if border is None:
        return None
    rows, columns = (
        -(-image // (canvas // positions))
        for canvas, image, positions in zip(
            border.canvas_px, border.image_px, x.shape[1:3], strict=True
        )
    )
    return rows, columns


def zero_beyond_border(x: jax.Array) -> jax.Array:
    """f32[B,H,W,C], zero where no image is; as it is where nobody set a border."""
    border = _BORDER.get()
    if border is None:
        return x
    inside = None
    for axis, (canvas, image) in enumerate(
        zip(border.canvas_px, border.image_px, strict=True), start=1
    ):
        positions = x.shape[axis]
        if canvas % positions:
            raise ValueError(f"a map of {positions} on a canvas of {canvas} px")
        within = lax.iota(jnp.int32, positions) * (canvas // positions) < image
        within = within.reshape([-1 if a == axis else 1 for a in range(4)])
        inside = within if inside is None else jnp.logical_and(inside, within)
    assert inside is not None
    zero = jnp.zeros((), x.dtype)
    return lax.select(
        jnp.broadcast_to(inside, x.shape), x, jnp.broadcast_to(zero, x.shape)
    )
