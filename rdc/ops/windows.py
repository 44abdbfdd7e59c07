"""Windows of a feature map for attention, at every size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def partition(x: jax.Array, window: int) -> jax.Array:
    """f32[B,H,W,C] -> f32[B * windows, window^2, C]; window divides H and W."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // window, window, w // window, window, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, window * window, c)


def merge(x: jax.Array, height: int, width: int, window: int) -> jax.Array:
    """The inverse of `partition` for a map of height x width."""
    c = x.shape[-1]
    x = x.reshape(-1, height // window, width // window, window, window, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height, width, c)


def axis_plan(size: int, window: int, shifted: bool) -> tuple[int, int]:
    """(padded size, shift) of one axis: a single window is never shifted."""
    padded = -(-size // window) * window
    return padded, window // 2 if shifted and padded > window else 0


def region_ids(
    height: int, width: int, window: int, shifted: bool
) -> np.ndarray | None:
    """Which positions may attend each other, after padding and cyclic shift.

    Returns:
      int32[windows, window^2]: equal ids within a window may attend each other.
      Padding has ids of its own. None where every pair within every window may.
    """
    axes = []
    for size in (height, width):
        padded, shift = axis_plan(size, window, shifted)
        position = np.roll(np.arange(padded), -shift)
        wrapped = np.arange(padded) >= padded - shift  # came from the other border
        axes.append(np.where(position >= size, 2, wrapped.astype(np.int32)))
    rows, columns = axes
    if not rows.any() and not columns.any():
        return None
    ids = (rows[:, None] * 3 + columns[None, :]).astype(np.int32)
    h, w = ids.shape
    ids = ids.reshape(h // window, window, w // window, window)
    return ids.transpose(0, 2, 1, 3).reshape(-1, window * window)


def bordered_region_ids(
    height: int,
    width: int,
    window: int,
    shifted: bool,
    sides: tuple[jax.Array, jax.Array],
) -> jax.Array:
    """As `region_ids`, of an image at the top left of a map of height x width.

    Args:
      sides: i32, rows and columns of the image: it is shifted where the window is
        smaller than that.
    """
    axes = []
    for size, side in zip((height, width), sides, strict=True):
        padded, shift = axis_plan(size, window, shifted)
        plain = np.arange(padded, dtype=np.int32)
        moves = side > window
        position = jnp.where(moves, np.roll(plain, -shift), plain)
        wrapped = moves & (plain >= padded - shift)
        axes.append(jnp.where(position >= side, 2, wrapped.astype(jnp.int32)))
    ids = axes[0][:, None] * 3 + axes[1][None, :]
    h, w = ids.shape
    ids = ids.reshape(h // window, window, w // window, window)
    return ids.transpose(0, 2, 1, 3).reshape(-1, window * window)


def shift(
    x: jax.Array,
    shifts: tuple[int, int],
    window: int,
    sides: tuple[jax.Array, jax.Array] | None,
) -> jax.Array:
    """f32[B,H,W,C], rolled along height and width; of an image on a larger map only
    where the window is smaller than the image."""
    for axis, by in enumerate(shifts, start=1):
        if not by:
            continue
        rolled = jnp.roll(x, by, axis)
        x = rolled if sides is None else jnp.where(sides[axis - 1] > window, rolled, x)
    return x


def relative_position_index(window: int) -> np.ndarray:
    """int32[window^2, window^2] into the (2 window - 1)^2 relative positions."""
    grid = np.stack(np.meshgrid(*[np.arange(window)] * 2, indexing="ij"), -1)
    flat = grid.reshape(-1, 2)
    offset = flat[:, None] - flat[None, :] + window - 1
    return (offset[..., 0] * (2 * window - 1) + offset[..., 1]).astype(np.int32)


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array,
    ids: np.ndarray | jax.Array | None,
) -> jax.Array:
    """Softmax attention inside windows.

    Args:
      query, key, value: f32[B * windows, heads, window^2, head_dim].
      bias: f32[heads, window^2, window^2], of relative positions.
      ids: from `region_ids` or `bordered_region_ids`.
    """
    scale = query.shape[-1] ** -0.5
    logits = jnp.einsum("nhqd,nhkd->nhqk", query * scale, key) + bias
    if ids is not None:
        # The barrier keeps XLA from folding the mask of all pairs at compile time.
        regions = jax.lax.optimization_barrier(jnp.asarray(ids))
        allowed = regions[:, :, None] == regions[:, None, :]
        images = logits.shape[0] // ids.shape[0]
        allowed = jnp.tile(allowed, (images, 1, 1))[:, None]
        logits = jnp.where(allowed, logits, -1e9)
    return jnp.einsum("nhqk,nhkd->nhqd", jax.nn.softmax(logits, axis=-1), value)
