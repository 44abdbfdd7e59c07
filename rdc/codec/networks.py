"""The codec's networks, compiled for one image size, as arrays in and out.

Encoder and decoder call the same compiled functions on the same shapes, so that the
decoder reproduces the encoder's entropy parameters bit for bit on one device.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.entropy_models.slices import SliceModel
from rdc.model import CompressionModel, SliceQuantizer, decode_slices
from rdc.ops.gaussian import gaussian_bits


class CodecNetworks:
    """Compiled parts of a model with its weights on the device.

    Slices of equal structure share one compiled function.
    """

    def __init__(self, model: CompressionModel):
        self.spec = model.spec
        self._analysis = _Compiled(model.analysis_transform)
        self._synthesis = _Compiled(model.synthesis_transform)
        self._prior_bits = _Compiled(model.prior)
        self._slices = tuple(CompiledSlice(s) for s in model.slices)
        if model.hyper_analysis is not None and model.hyper_synthesis is not None:
            self._hyper_analysis = _Compiled(model.hyper_analysis)
            self._hyper_synthesis = _Compiled(model.hyper_synthesis)

    @property
    def num_slices(self) -> int:
        return len(self._slices)

    def analyse(self, x: np.ndarray) -> np.ndarray:
        """u8[H,W,3], padded -> y f32[h,w,C]."""
        return np.asarray(_from_pixels(self._analysis.graph, self._analysis.state, x))

    def hyperlatents(self, y: np.ndarray) -> np.ndarray:
        """y -> z f32[h/4,w/4,C]."""
        if self.spec.entropy_model.hyper_input_is_magnitude:
            y = np.abs(y)
        return np.asarray(self._hyper_analysis(y[None]))[0]

    def features(self, z_hat: np.ndarray) -> jax.Array:
        """z_hat -> hyper features f32[1,h,w,F], on the device."""
        return self._hyper_synthesis(z_hat[None])

    def decode_slices(
        self, features: jax.Array, quantize: SliceQuantizer
    ) -> np.ndarray:
        """The slice loop with compiled networks -> y_hat f32[h,w,C]."""
        return np.asarray(decode_slices(self._slices, features, quantize))[0]

    def synthesise(self, y_hat: np.ndarray) -> np.ndarray:
        """y_hat -> u8[H,W,3], padded size."""
        synthesis = self._synthesis
        return np.asarray(_to_pixels(synthesis.graph, synthesis.state, y_hat))

    def prior_bits(self, symbols: np.ndarray) -> float:
        """Estimated bits of z (or of y without a hyper-transform)."""
        prior = self._prior_bits
        return float(_prior_bits(prior.graph, prior.state, symbols.astype(np.float32)))


class CompiledSlice:
    """The two methods of `SliceModel`, compiled."""

    def __init__(self, model: SliceModel):
        self._graph, self._state = nnx.split(model)
        self._refines = model.lrp is not None

    def entropy_parameters(self, features: jax.Array, support: tuple) -> Any:
        return _entropy_parameters(self._graph, self._state, features, support)

    def refine(self, mean_input: jax.Array, y_hat: Any) -> Any:
        if not self._refines:
            return y_hat
        return _refine(self._graph, self._state, mean_input, y_hat)


class _Compiled:
    def __init__(self, module: nnx.Module):
        self.graph, self.state = nnx.split(module)

    def __call__(self, x: Any) -> jax.Array:
        return _apply(self.graph, self.state, x)


@jax.jit
def estimated_bits(symbols: jax.Array, scale_index: jax.Array) -> jax.Array:
    """Bits of integer `symbols` under the continuous scales."""
    return jnp.sum(gaussian_bits(symbols, scale_index))


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    return nnx.merge(graph, state)(x).astype(jnp.float32)


@partial(jax.jit, static_argnums=0)
def _from_pixels(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    x = x[None].astype(jnp.float32) / 255.0
    return nnx.merge(graph, state)(x).astype(jnp.float32)[0]


@partial(jax.jit, static_argnums=0)
def _to_pixels(graph: nnx.GraphDef, state: Any, y_hat: jax.Array) -> jax.Array:
    x_hat = nnx.merge(graph, state)(y_hat[None]).astype(jnp.float32)[0]
    return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8)


@partial(jax.jit, static_argnums=0)
def _prior_bits(graph: nnx.GraphDef, state: Any, symbols: jax.Array) -> jax.Array:
    return jnp.sum(nnx.merge(graph, state).bits(symbols))


@partial(jax.jit, static_argnums=0)
def _entropy_parameters(
    graph: nnx.GraphDef, state: Any, features: jax.Array, support: tuple
) -> Any:
    model = nnx.merge(graph, state)
    return model.entropy_parameters(features, support[: model.max_support_slices])


@partial(jax.jit, static_argnums=0)
def _refine(
    graph: nnx.GraphDef, state: Any, mean_input: jax.Array, y_hat: jax.Array
) -> jax.Array:
    return nnx.merge(graph, state).refine(mean_input, y_hat)
