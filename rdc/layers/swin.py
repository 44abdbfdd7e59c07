"""Swin transformer stages, patch merging and patch splitting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers.network import Network
from rdc.layers.parameters import ParameterFactory
from rdc.ops import windows
from rdc.ops.borders import image_sides
from rdc.ops.convolution import depth_to_space, space_to_depth
from rdc.ops.normalization import (
    normalize_live_channels,
    normalize_over_channels,
)
from rdc.ops.products import channel_product


class Dense(nnx.Module):
    """Affine map over channels."""

    def __init__(self, parameters: ParameterFactory, in_channels: int, out: int):
        self.kernel = parameters.weights((in_channels, out), in_channels)
        self.bias = parameters.bias(out, in_channels)

    def __call__(self, x: jax.Array) -> jax.Array:
        return channel_product(x, self.kernel[...]) + self.bias[...]


class LayerNorm(nnx.Module):
    """Normalises each position over channels; epsilon 1e-5.

    Attributes:
      live: f32[C], 0 for channels that mask decay has silenced and that do not count;
        None: all count.
    """

    live: jax.Array | None = None

    def __init__(self, parameters: ParameterFactory, channels: int):
        self.gain = parameters.constant(1.0, (channels,))
        self.offset = parameters.constant(0.0, (channels,))

    def __call__(self, x: jax.Array) -> jax.Array:
        normalized = (
            normalize_over_channels(x)
            if self.live is None
            else normalize_live_channels(x, self.live)
        )
        return normalized * self.gain[...] + self.offset[...]


class WindowAttention(nnx.Module):
    """Multi-head attention in (shifted) windows with a relative-position bias.

    Liu et al. 2021 (arXiv 2103.14030), section 3.2. A map whose sides the window does
    not divide is padded at the bottom and the right, and the padding is masked.
    """

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        window: int,
        head_dim: int,
        shifted: bool,
    ):
        heads = channels // head_dim
        self.qkv = Dense(parameters, channels, 3 * channels)
        self.projection = Dense(parameters, channels, channels)
        self.position_bias = parameters.constant(0.0, ((2 * window - 1) ** 2, heads))
        self.window, self.head_dim, self.shifted = window, head_dim, shifted

    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, channels = x.shape
        window = self.window
        padded_height, row_shift = windows.axis_plan(height, window, self.shifted)
        padded_width, column_shift = windows.axis_plan(width, window, self.shifted)
        pads = ((0, 0), (0, padded_height - height), (0, padded_width - width), (0, 0))
        sides = image_sides(x)
        shifts = -row_shift, -column_shift
        x = windows.shift(jnp.pad(x, pads), shifts, window, sides)
        x = windows.partition(x, window)

        qkv = self.qkv(x).reshape(x.shape[0], window**2, 3, -1, self.head_dim)
        query, key, value = qkv.transpose(2, 0, 3, 1, 4)
        index = windows.relative_position_index(window)
        bias = self.position_bias[...][index].transpose(2, 0, 1)
        where = height, width, window, self.shifted
        ids = (
            windows.region_ids(*where)
            if sides is None
            else windows.bordered_region_ids(*where, sides)
        )
        x = windows.attend(query, key, value, bias, ids)
        x = x.transpose(0, 2, 1, 3).reshape(-1, window**2, channels)

        x = windows.merge(self.projection(x), padded_height, padded_width, window)
        x = windows.shift(x, (row_shift, column_shift), window, sides)
        return x[:, :height, :width]


class SwinBlock(nnx.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)) with a GELU hidden layer of 4 c."""

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        window: int,
        head_dim: int,
        shifted: bool,
    ):
        self.attention_norm = LayerNorm(parameters, channels)
        self.attention = WindowAttention(
            parameters, channels, window, head_dim, shifted
        )
        self.mlp_norm = LayerNorm(parameters, channels)
        self.mlp_in = Dense(parameters, channels, 4 * channels)
        self.mlp_out = Dense(parameters, 4 * channels, channels)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.attention_norm(x))
        hidden = jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=False)
        return x + self.mlp_out(hidden)


class SwinStage(Network):
    """`depth` Swin blocks; every second one has shifted windows."""

    def __init__(
        self,
        parameters: ParameterFactory,
        channels: int,
        depth: int,
        window: int,
        head_dim: int,
    ):
        super().__init__(
            *(
                SwinBlock(parameters, channels, window, head_dim, shifted=i % 2 == 1)
                for i in range(depth)
            )
        )


class PatchMerging(nnx.Module):
    """Space-to-depth by 2, LayerNorm, Dense: halves height and width."""

    def __init__(
        self,
        parameters: ParameterFactory,
        in_channels: int,
        out_channels: int,
        norm: bool = True,
    ):
        self.norm = LayerNorm(parameters, 4 * in_channels) if norm else Network()
        self.dense = Dense(parameters, 4 * in_channels, out_channels)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.norm(space_to_depth(x)))


class PatchSplitting(nnx.Module):
    """LayerNorm, Dense, depth-to-space by 2: doubles height and width."""

    def __init__(
        self,
        parameters: ParameterFactory,
        in_channels: int,
        out_channels: int,
        norm: bool = True,
    ):
        self.norm = LayerNorm(parameters, in_channels) if norm else Network()
        self.dense = Dense(parameters, in_channels, 4 * out_channels)

    def __call__(self, x: jax.Array) -> jax.Array:
        return depth_to_space(self.dense(self.norm(x)))
