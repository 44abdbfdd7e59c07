"""The codec's networks, compiled for one image size, as arrays in and out.

`TransformNetworks` are the encoder's or the decoder's own business and run in the
device's floating point. `EntropyNetworks` are what both must compute alike, in an
arithmetic of `rdc.codec.numerics`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.numerics import Arithmetic
from rdc.entropy_models.slices import SliceModel
from rdc.model import CompressionModel, SliceQuantizer, decode_slices
from rdc.ops.gaussian import gaussian_bits


class TransformNetworks:
    """Analysis, synthesis and hyper-analysis, and the estimate of the prior's bits."""

    def __init__(self, model: CompressionModel):
        self.spec = model.spec
        self._analysis = nnx.split(model.analysis_transform)
        self._synthesis = nnx.split(model.synthesis_transform)
        self._prior = nnx.split(model.prior)
        if model.hyper_analysis is not None:
            self._hyper_analysis = nnx.split(model.hyper_analysis)

    def analyse(self, x: np.ndarray) -> np.ndarray:
        """u8[H,W,3], padded -> y f32[h,w,C]."""
        return np.asarray(_from_pixels(*self._analysis, x))

    def hyperlatents(self, y: np.ndarray) -> np.ndarray:
        """y -> z f32[h/4,w/4,C]."""
        if self.spec.entropy_model.hyper_input_is_magnitude:
            y = np.abs(y)
        return np.asarray(_apply(*self._hyper_analysis, y))

    def synthesise(self, y_hat: np.ndarray) -> np.ndarray:
        """y_hat -> u8[H,W,3], padded size."""
        return np.asarray(_to_pixels(*self._synthesis, y_hat))

    def prior_bits(self, symbols: np.ndarray) -> float:
        """Estimated bits of z (or of y without a hyper-transform)."""
        return float(_prior_bits(*self._prior, symbols.astype(np.float32)))


class EntropyNetworks:
    """Hyper-synthesis and slice networks of a model with a hyper-transform.

    Slices of equal structure share one compiled function.
    """

    def __init__(self, model: CompressionModel, arithmetic: Arithmetic):
        self._arithmetic = arithmetic
        self._hyper_synthesis = _split(model.hyper_synthesis, arithmetic)
        self._slices = tuple(CompiledSlice(s, arithmetic) for s in model.slices)

    def decode_slices(self, z_hat: np.ndarray, quantize: SliceQuantizer) -> np.ndarray:
        """z_hat f32[h/4,w/4,C] -> y_hat f32[h,w,C] by the one slice loop."""
        with self._arithmetic.scope():
            features = _features(self._arithmetic, *self._hyper_synthesis, z_hat[None])
            y_hat = decode_slices(self._slices, features, quantize)
            return np.asarray(y_hat, np.float32)[0]


class CompiledSlice:
    """The two methods of `SliceModel`, compiled."""

    def __init__(self, model: SliceModel, arithmetic: Arithmetic):
        self._arithmetic = arithmetic
        self._graph, self._state = _split(model, arithmetic)
        self._max_support = model.max_support_slices
        self._refines = model.lrp is not None

    def entropy_parameters(self, features: jax.Array, support: tuple) -> Any:
        support = support[: self._max_support]
        return _entropy_parameters(
            self._arithmetic, self._graph, self._state, features, support
        )

    def refine(self, mean_input: jax.Array, y_hat: Any) -> Any:
        if not self._refines:
            return y_hat
        return _refine(self._arithmetic, self._graph, self._state, mean_input, y_hat)


def _split(module: Any, arithmetic: Arithmetic) -> tuple[nnx.GraphDef, Any]:
    graph, state = nnx.split(module)
    device = arithmetic.device()
    return graph, state if device is None else jax.device_put(state, device)


@jax.jit
def estimated_bits(symbols: jax.Array, scale_index: jax.Array) -> jax.Array:
    """Bits of integer `symbols` under the continuous scales."""
    return jnp.sum(gaussian_bits(symbols, scale_index))


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    return nnx.merge(graph, state)(x[None]).astype(jnp.float32)[0]


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


@partial(jax.jit, static_argnums=(0, 1))
def _features(
    arithmetic: Arithmetic, graph: nnx.GraphDef, state: Any, z_hat: jax.Array
) -> jax.Array:
    def features(state: Any, z_hat: jax.Array) -> jax.Array:
        return nnx.merge(graph, state)(z_hat).astype(jnp.float32)

    return arithmetic.adapt(features)(state, z_hat)


@partial(jax.jit, static_argnums=(0, 1))
def _entropy_parameters(
    arithmetic: Arithmetic,
    graph: nnx.GraphDef,
    state: Any,
    features: jax.Array,
    support: tuple,
) -> Any:
    def parameters(state: Any, features: jax.Array, *support: jax.Array) -> Any:
        return nnx.merge(graph, state).entropy_parameters(features, support)

    return arithmetic.adapt(parameters)(state, features, *support)


@partial(jax.jit, static_argnums=(0, 1))
def _refine(
    arithmetic: Arithmetic,
    graph: nnx.GraphDef,
    state: Any,
    mean_input: jax.Array,
    y_hat: jax.Array,
) -> jax.Array:
    def refine(state: Any, mean_input: jax.Array, y_hat: jax.Array) -> jax.Array:
        return nnx.merge(graph, state).refine(mean_input, y_hat)

    return arithmetic.adapt(refine)(state, mean_input, y_hat)
