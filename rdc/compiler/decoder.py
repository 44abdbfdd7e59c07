"""The decoder's networks as one program: what a device has to do for an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.model import CompressionModel, run_coding_steps
from rdc.ops.convolution import fixed_convolution_forms
from rdc.specs.components import ArchitectureSpec

# As `rdc.complexity` names them.
COMPONENTS = ("hyper_synthesis", "entropy_model", "synthesis_transform")


class _ScopedStep:
    """A coding step whose networks stand in a scope of the program."""

    def __init__(self, step: Any):
        self._step, self.latent = step, step.latent
        self.values = step.values

    def parameters(self, features: Any, y_hat: Any) -> Any:
        with jax.named_scope("entropy_model"):
            return self._step.parameters(features, y_hat)

    def refine(self, part: Any, parameters: Any) -> Any:
        with jax.named_scope("entropy_model"):
            return self._step.refine(part, parameters)

    def place(self, part: Any, y_hat: Any) -> Any:
        with jax.named_scope("entropy_model"):
            return self._step.place(part, y_hat)


class _Scoped:
    """`rdc.model.CodingNetworks` of a model, each network in its scope."""

    def __init__(self, model: CompressionModel):
        self._model = model

    def coding_steps(self, rate: Any) -> Sequence[_ScopedStep]:
        return [_ScopedStep(step) for step in self._model.coding_steps(rate)]

    def features(self, z_hat: Any) -> Any:
        with jax.named_scope("hyper_synthesis"):
            return self._model.features(z_hat)


@fixed_convolution_forms("phases")  # the backend that compiles is not the one that runs
def decode(graph: nnx.GraphDef, state: Any, symbols: Sequence[jax.Array]) -> jax.Array:
    """u8[H,W,3] of the symbols of each coding step, f32[1,h,w,C], z's first."""
    model = nnx.merge(graph, state)
    remaining = iter(symbols)

    def code(step: Any, parameters: Any) -> jax.Array:
        return step.values(next(remaining), parameters)

    y_hat = run_coding_steps(_Scoped(model), code)
    with jax.named_scope("synthesis_transform"):
        x_hat = model.reconstruction(y_hat).astype(jnp.float32)[0]
        return jnp.clip(jnp.round(x_hat * 255.0), 0, 255).astype(jnp.uint8)


def decoding_program(
    spec: ArchitectureSpec, height_px: int, width_px: int
) -> tuple[Callable[..., jax.Array], Any, tuple[jax.ShapeDtypeStruct, ...]]:
    """(`decode` of state and symbols, shapes of the state, shapes of the symbols).

    Nothing is computed: weights are shapes. The image is padded as the codec does.
    """
    from rdc.architectures import build

    model = build(spec, None)
    graph, state = nnx.split(model)
    height, width = spec.padded_px(height_px, width_px)

    def shapes_of(state: Any, x: jax.Array) -> tuple[jax.Array, ...]:
        own = nnx.merge(graph, state)
        latents = {"y": own.latents(x)}
        if own.hyper_analysis is not None:
            latents["z"] = own.hyperlatents(latents["y"])
        return tuple(step.select(latents[step.latent]) for step in own.coding_steps())

    x = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
    symbols = jax.eval_shape(shapes_of, state, x)
    return lambda state, symbols: decode(graph, state, symbols), state, symbols
