"""The codec's networks, compiled for one image size, as arrays in and out.

`TransformNetworks` are the encoder's or the decoder's own business and run in the
device's floating point. `CompiledNetworks` are what both must compute alike, in one of
`rdc.codec.numerics`.
"""

from __future__ import annotations

import copy
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
from rdc.layers import NO_GAINS, StepGains
from rdc.model import CodePart, CompressionModel, run_coding_steps
from rdc.ops.gaussian import LEVELS_PER_LOG, gaussian_bits
from rdc.ops.scales import NUM_SCALES


class TransformNetworks:
    """Analysis, synthesis and hyper-analysis."""

    def __init__(self, model: CompressionModel):
        self._hyper_input_is_magnitude = (
            model.spec.entropy_model.hyper_input_is_magnitude
        )
        self._analysis = nnx.split(model.analysis_transform)
        self._synthesis = nnx.split(model.synthesis_transform)
        if model.hyper_analysis is not None:
            self._hyper_analysis = nnx.split(model.hyper_analysis)

    def analyse(self, x: np.ndarray) -> np.ndarray:
        """u8[H,W,3], padded -> y f32[1,h,w,C]."""
        return np.asarray(_from_pixels(*self._analysis, x))

    def hyperlatents(self, y: np.ndarray) -> np.ndarray:
        """y f32[1,h,w,C] -> z f32[1,h/4,w/4,C]."""
        if self._hyper_input_is_magnitude:
            y = np.abs(y)
        return np.asarray(_apply(*self._hyper_analysis, y))

    def synthesise(self, y_hat: np.ndarray) -> np.ndarray:
        """y_hat f32[h,w,C] -> u8[H,W,3], padded size."""
        return np.asarray(_to_pixels(*self._synthesis, y_hat))


class CompiledNetworks:
    """Hyper-synthesis and coding steps of a model, as `rdc.model.CodingNetworks`.

    Arrays have a batch of one. What was decoded stays on the host, where its symbols
    come from; each step gets the part of it that its networks see.
    """

    def __init__(self, model: CompressionModel, numerics: Numerics):
        self._numerics = numerics
        self._prior, self._gains = model.prior, (model.gains, model.hyper_gains)
        self._has_hyper = model.hyper_synthesis is not None
        self._steps = [CompiledGaussianStep(step, numerics) for step in model.steps]
        if self._has_hyper:
            self._hyper_synthesis = _split(model.hyper_synthesis, numerics)

    def coding_steps(
        self, rate: float = 0
    ) -> Sequence[CompiledPriorStep | CompiledGaussianStep]:
        y, z = (NO_GAINS if g is None else g.on_host(rate) for g in self._gains)
        if not self._has_hyper:
            return [CompiledPriorStep(PriorStep(self._prior, "y", y))]
        first = CompiledPriorStep(PriorStep(self._prior, "z", z))
        return [first, *(step.at(y) for step in self._steps)]

    def features(self, z_hat: np.ndarray) -> jax.Array:
        return _features(self._numerics, *self._hyper_synthesis, z_hat)

    def run(self, code: CodePart, rate: float = 0) -> np.ndarray:
        """y_hat f32[h,w,C] from what `code` makes of each part, by the one loop."""
        with self._numerics.scope():
            return np.asarray(run_coding_steps(self, code, rate), np.float32)[0]


class CompiledPriorStep:
    """A `PriorStep`: nothing is computed but the bits of its symbols."""

    def __init__(self, step: PriorStep):
        self.latent, self.tables = step.latent, step.tables
        self.select, self.place = step.select, step.place
        self.parameters, self.refine = step.parameters, step.refine
        self.gains = step.gains
        self._prior = nnx.split(step.prior)

    def likelihood_bits(self, symbols: np.ndarray, parameters: None) -> np.ndarray:
        """f32[...] bits of integer `symbols`."""
        step = np.exp(-self.gains.gain)
        return np.asarray(_prior_bits(*self._prior, symbols.astype(np.float32), step))


class CompiledGaussianStep:
    """A `RatedStep`; those of equal networks share one compiled program."""

    gains = NO_GAINS

    def __init__(self, step: GaussianStep, numerics: Numerics):
        self.latent, self.tables = step.latent, step.tables
        self._step, self._numerics = step, numerics
        self._graph, self._state = _split(step.unplaced(), numerics)

    def at(self, gains: StepGains) -> CompiledGaussianStep:
        """The step with gains of a rate, those of all channels of y on the host."""
        step = copy.copy(self)
        step.gains = gains.of(self._step.select)
        return step

    def select(self, y: Any) -> Any:
        return self._step.select(y)

    def place(self, part: Any, y_hat: Any) -> Any:
        host: Any = np.asarray(part)
        return self._step.place(host, y_hat)

    def parameters(
        self, features: jax.Array, y_hat: np.ndarray | None
    ) -> GaussianParameters:
        support = self._step.support(y_hat) if self._step.support_channels else None
        found = _parameters(self._numerics, self._graph, self._state, features, support)
        # On the host, where one addition is the same on every machine.
        index = np.asarray(found.scale_index)
        shift = np.multiply(self.gains.gain, LEVELS_PER_LOG, dtype=index.dtype)
        index = np.clip(index + shift, 0, NUM_SCALES - 1)
        return found._replace(mean=np.asarray(found.mean), scale_index=index)

    def refine(self, part: np.ndarray, parameters: GaussianParameters) -> Any:
        if self._step.lrp is None:
            return part
        return _refine(self._numerics, self._graph, self._state, part, parameters)

    def likelihood_bits(
        self, symbols: np.ndarray, parameters: GaussianParameters
    ) -> np.ndarray:
        """f32[...] bits of integer `symbols` under the continuous scales."""
        scale_index = np.asarray(parameters.scale_index, np.float32)
        return np.asarray(_gaussian_bits(symbols.astype(np.float32), scale_index))


def _split(module: Any, numerics: Numerics) -> tuple[nnx.GraphDef, Any]:
    graph, state = nnx.split(module)
    device = numerics.device()
    return graph, state if device is None else jax.device_put(state, device)


@jax.jit
def _gaussian_bits(symbols: jax.Array, scale_index: jax.Array) -> jax.Array:
    return gaussian_bits(symbols, scale_index)


@partial(jax.jit, static_argnums=0)
def _prior_bits(
    graph: nnx.GraphDef, state: Any, symbols: jax.Array, step: float | jax.Array
) -> jax.Array:
    return nnx.merge(graph, state).bits(symbols, step)


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    return nnx.merge(graph, state)(x).astype(jnp.float32)


@partial(jax.jit, static_argnums=0)
def _from_pixels(graph: nnx.GraphDef, state: Any, x: jax.Array) -> jax.Array:
    x = x[None].astype(jnp.float32) / 255.0
    return nnx.merge(graph, state)(x).astype(jnp.float32)


@partial(jax.jit, static_argnums=0)
def _to_pixels(graph: nnx.GraphDef, state: Any, y_hat: jax.Array) -> jax.Array:
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
