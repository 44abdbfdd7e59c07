"""The codec's networks, compiled for one image size, as arrays in and out.

`TransformNetworks` are the encoder's or the decoder's own business and run in the
device's floating point. `CompiledNetworks` are what both must compute alike, in one of
`rdc.codec.numerics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.codec.numerics import Numerics
from rdc.entropy_models.gaussian_step import GaussianParameters, GaussianStep
from rdc.entropy_models.prior_step import PriorStep
from rdc.layers import Rate
from rdc.model import CodePart, CompressionModel, run_coding_steps
from rdc.ops.gaussian import estimated, gaussian_bits


class TransformNetworks:
    """Analysis, synthesis and hyper-analysis."""

    def __init__(self, model: CompressionModel):
        self._hyper_input_is_magnitude = (
            model.spec.entropy_model.hyper_input_is_magnitude
        )
        self._gains = model.gains
        self._analysis = nnx.split(model.analysis_transform)
        self._synthesis = nnx.split(model.synthesis_transform)
        if model.hyper_analysis is not None:
            self._hyper_analysis = nnx.split(model.hyper_analysis)

    def analyse(self, x: np.ndarray, rate: float = 0) -> np.ndarray:
        """u8[H,W,3], padded -> y f32[1,h,w,C] with the gains of the rate."""
        gain = None if self._gains is None else self._gains.gain(rate)
        return np.asarray(_from_pixels(*self._analysis, x, gain))

    def hyperlatents(self, y: np.ndarray) -> np.ndarray:
        """y f32[1,h,w,C] -> z f32[1,h/4,w/4,C]."""
        if self._hyper_input_is_magnitude:
            y = np.abs(y)
        return np.asarray(_apply(*self._hyper_analysis, y))

    def synthesise(self, y_hat: np.ndarray, rate: float = 0) -> np.ndarray:
        """y_hat f32[h,w,C], with gains -> u8[H,W,3], padded size."""
        inverse = None if self._gains is None else self._gains.inverse(rate)
        return np.asarray(_to_pixels(*self._synthesis, y_hat, inverse))


class CompiledNetworks:
    """Hyper-synthesis and coding steps of a model, as `rdc.model.CodingNetworks`.

    Arrays have a batch of one. What was decoded stays on the host, where its symbols
    come from; each step gets the part of it that its networks see.
    """

    def __init__(self, model: CompressionModel, numerics: Numerics):
        self._numerics = numerics
        self._model = model  # whose prior's step depends on the rate
        self._steps = [CompiledGaussianStep(step, numerics) for step in model.steps]
        if model.hyper_synthesis is not None:
            self._hyper_synthesis = _split(model.hyper_synthesis, numerics)

    def coding_steps(
        self, rate: Rate = 0
    ) -> Sequence[CompiledPriorStep | CompiledGaussianStep]:
        return [CompiledPriorStep(self._model.prior_step(rate)), *self._steps]

    def features(self, z_hat: np.ndarray) -> jax.Array:
        return _features(self._numerics, *self._hyper_synthesis, z_hat)

    def run(self, code: CodePart, rate: float = 0) -> np.ndarray:
        """y_hat f32[h,w,C] from what `code` makes of each part, by the one loop."""
        with self._numerics.scope():
            return np.asarray(run_coding_steps(self, code, rate), np.float32)[0]


class CompiledPriorStep:
    """A `PriorStep`: nothing is computed but the estimate of its bits."""

    def __init__(self, step: PriorStep):
        self.latent, self.tables = step.latent, step.tables
        self.select, self.place = step.select, step.place
        self.parameters, self.refine = step.parameters, step.refine
        self._prior, self._step = nnx.split(step.prior), step.step

    def estimated_bits(self, symbols: np.ndarray, parameters: None) -> float:
        values = symbols.astype(np.float32)
        return float(_prior_bits(*self._prior, values, self._step))


class CompiledGaussianStep:
    """A `GaussianStep`; those of equal networks share one compiled program."""

    def __init__(self, step: GaussianStep, numerics: Numerics):
        self.latent, self.tables = step.latent, step.tables
        self._step, self._numerics = step, numerics
        self._graph, self._state = _split(step.unplaced(), numerics)

    def select(self, y: Any) -> Any:
        return self._step.select(y)

    def place(self, part: Any, y_hat: Any) -> Any:
        host: Any = np.asarray(part)
        return self._step.place(host, y_hat)

    def parameters(
        self, features: jax.Array, y_hat: np.ndarray | None
    ) -> GaussianParameters:
        support = self._step.support(y_hat) if self._step.support_channels else None
        return _parameters(self._numerics, self._graph, self._state, features, support)

    def refine(self, part: np.ndarray, parameters: GaussianParameters) -> Any:
        if self._step.lrp is None:
            return part
        return _refine(self._numerics, self._graph, self._state, part, parameters)

    def estimated_bits(
        self, symbols: np.ndarray, parameters: GaussianParameters
    ) -> float:
        """Of integer `symbols` under the continuous scales."""
        scale_index = np.asarray(parameters.scale_index, np.float32)
        return float(_gaussian_bits(symbols.astype(np.float32), scale_index))


def _split(module: Any, numerics: Numerics) -> tuple[nnx.GraphDef, Any]:
    graph, state = nnx.split(module)
    device = numerics.device()
    return graph, state if device is None else jax.device_put(state, device)


@jax.jit
def _gaussian_bits(symbols: jax.Array, scale_index: jax.Array) -> jax.Array:
    return jnp.sum(estimated(gaussian_bits(symbols, scale_index)))


@partial(jax.jit, static_argnums=0)
def _prior_bits(
    graph: nnx.GraphDef, state: Any, symbols: jax.Array, step: float | jax.Array
) -> jax.Array:
    return jnp.sum(estimated(nnx.merge(graph, state).bits(symbols, step)))


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    return nnx.merge(graph, state)(x).astype(jnp.float32)


@partial(jax.jit, static_argnums=0)
def _from_pixels(
    graph: nnx.GraphDef, state: Any, x: jax.Array, gain: jax.Array | None
) -> jax.Array:
    x = x[None].astype(jnp.float32) / 255.0
    y = nnx.merge(graph, state)(x).astype(jnp.float32)
    return y if gain is None else y * gain


@partial(jax.jit, static_argnums=0)
def _to_pixels(
    graph: nnx.GraphDef, state: Any, y_hat: jax.Array, inverse: jax.Array | None
) -> jax.Array:
    if inverse is not None:
        y_hat = y_hat * inverse
    x_hat = nnx.merge(graph, state)(y_hat[None]).astype(jnp.float32)[0]
    return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8)


@partial(jax.jit, static_argnums=(0, 1))
def _features(
    numerics: Numerics, graph: nnx.GraphDef, state: Any, z_hat: jax.Array
) -> jax.Array:
    def features(state: Any, z_hat: jax.Array) -> jax.Array:
        return nnx.merge(graph, state)(z_hat).astype(jnp.float32)

    return numerics.adapt(features)(state, z_hat)


@partial(jax.jit, static_argnums=(0, 1))
def _parameters(
    numerics: Numerics,
    graph: nnx.GraphDef,
    state: Any,
    features: jax.Array,
    support: jax.Array | None,
) -> GaussianParameters:
    def parameters(state: Any, features: jax.Array, support: Any) -> Any:
        return nnx.merge(graph, state).parameters(features, support)

    return numerics.adapt(parameters)(state, features, support)


@partial(jax.jit, static_argnums=(0, 1))
def _refine(
    numerics: Numerics,
    graph: nnx.GraphDef,
    state: Any,
    part: jax.Array,
    parameters: GaussianParameters,
) -> jax.Array:
    def refine(state: Any, part: jax.Array, parameters: GaussianParameters) -> Any:
        return nnx.merge(graph, state).refine(part, parameters)

    return numerics.adapt(refine)(state, part, parameters)
