"""MACs and parameters of an architecture by side and component."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import numpy as np
from flax import nnx

from rdc.architectures import resolve
from rdc.complexity.jaxpr_cost import Cost, Product, cost_of
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.layers import Network, ParameterFactory
from rdc.ops.convolution import fixed_convolution_forms
from rdc.specs.components import (
    PRIOR_FILTERS,
    ArchitectureSpec,
    EntropyModelSpec,
    HyperTransformSpec,
    TransformSpec,
)

Shape = tuple[int, ...]  # of one image, [H, W, C]


@dataclass(frozen=True)
class ComponentCost:
    """One component on one side of the codec."""

    side: str  # encode or decode
    component: str
    params: int
    macs_per_px: float


@dataclass(frozen=True)
class Complexity:
    """Cost of one architecture; per pixel of the unpadded image.

    The encoder runs all but the synthesis transform: it needs the decoder's entropy
    parameters. A component that both sides run is listed on both.

    Attributes:
      padded_px_ratio: padded pixels over pixels; networks run on padded images, so
        this share of the MACs is owed to the image size.
      decoder_peak_bytes_per_px: activation memory of the decoder at float32, each
        primitive on its own (an upper bound), over pixels.
      decoder_products: of the decoder's networks, of the whole image.
    """

    params_total: int
    params_decoder: int
    kmacs_per_px: float
    kmacs_per_px_encode: float
    padded_px_ratio: float
    decoder_peak_bytes_per_px: float
    by_component: tuple[ComponentCost, ...]
    decoder_products: tuple[Product, ...] = ()

    @property
    def kflops_per_px(self) -> float:
        """Of the decoder: 2 FLOPs per MAC."""
        return 2 * self.kmacs_per_px

    @property
    def kflops_per_px_encode(self) -> float:
        """Of the encoder: 2 FLOPs per MAC."""
        return 2 * self.kmacs_per_px_encode


@dataclass(frozen=True)
class _Counted:
    """A component at one input shape."""

    params: int
    products: tuple[Product, ...]
    peak_bytes: int

    @property
    def macs(self) -> int:
        return sum(product.macs for product in self.products)


@fixed_convolution_forms("phases")  # whose products are the closed form's
def count(
    spec_or_name: ArchitectureSpec | str, height_px: int = 512, width_px: int = 768
) -> Complexity:
    """Counts the traced computation of every component on shapes alone.

    Args:
      spec_or_name: an architecture or the name of one.
      height_px, width_px: image size; sizes that need no padding all give the same
        figures.
    """
    spec = resolve(spec_or_name)
    transform, hyper, model = spec.transform, spec.hyper_transform, spec.entropy_model
    padded = spec.padded_px(height_px, width_px)
    y_shape, z_shape = spec.latent_shapes(height_px, width_px)
    latent = transform.latent_channels

    both = ("encode", "decode")
    parts: dict[str, tuple[_Counted, tuple[str, ...]]] = {  # with the sides it is on
        "analysis_transform": (
            _transform(transform, "analysis_transform", (*padded, 3)),
            ("encode",),
        ),
        "synthesis_transform": (
            _transform(transform, "synthesis_transform", y_shape),
            ("decode",),
        ),
    }
    if hyper is None or z_shape is None:
        prior_channels, filters = latent, PRIOR_FILTERS
    else:
        prior_channels = hyper.hyperlatent_channels
        features = model.hyper_features(latent)
        parts["hyper_analysis"] = (_hyper_analysis(hyper, y_shape), ("encode",))
        filters = hyper.prior_filters
        parts["hyper_synthesis"] = (_hyper_synthesis(hyper, z_shape, features), both)
        parts["entropy_model"] = (_coding_steps(model, y_shape), both)
    parts["prior"] = (_prior(prior_channels, filters), both)

    pixels = height_px * width_px
    # Of several encoders, each result is coded and decoded, and the best one taken.
    repeats = {"encode": spec.encoders, "decode": 1}
    if spec.encoders > 1:
        synthesis, _ = parts["synthesis_transform"]
        parts["synthesis_transform"] = (synthesis, both)
        analysis, sides = parts["analysis_transform"]
        every = replace(analysis, params=spec.encoders * analysis.params)
        parts["analysis_transform"] = (every, sides)
    rows = tuple(
        ComponentCost(side, name, part.params, repeats[side] * part.macs / pixels)
        for side in both
        for name, (part, sides) in parts.items()
        if side in sides
    )

    def macs(side: str) -> int:
        once = sum(part.macs for part, sides in parts.values() if side in sides)
        return repeats[side] * once

    decoder = [part for part, sides in parts.values() if "decode" in sides]
    return Complexity(
        params_total=sum(part.params for part, _ in parts.values()),
        params_decoder=sum(part.params for part in decoder),
        kmacs_per_px=macs("decode") / pixels / 1000,
        kmacs_per_px_encode=macs("encode") / pixels / 1000,
        padded_px_ratio=math.prod(padded) / pixels,
        decoder_peak_bytes_per_px=max(part.peak_bytes for part in decoder) / pixels,
        by_component=rows,
        decoder_products=sum((part.products for part in decoder), ()),
    )


@dataclass(frozen=True)
class NetworkCost:
    """One network at one input shape.

    Attributes:
      params: values of its parameters and of its running statistics.
      output_shape: of one image, [H, W, C], or what the network makes of it.
    """

    params: int
    macs: int
    output_shape: Shape


@fixed_convolution_forms("phases")
def count_network(network: nnx.Module, input_shape: Shape) -> NetworkCost:
    """Counts one network, with or without weights, on an input [H, W, C]."""
    counted, output = _network(network, input_shape)
    return NetworkCost(counted.params, counted.macs, output)


# Grids repeat components, so each is traced once per shape.


@cache
def _transform(spec: TransformSpec, direction: str, shape: Shape) -> _Counted:
    network = getattr(spec, direction)(ParameterFactory(None))
    return _network(network, shape)[0]


@cache
def _hyper_analysis(spec: HyperTransformSpec, y_shape: Shape) -> _Counted:
    network = spec.hyper_analysis(y_shape[-1], ParameterFactory(None))
    return _network(network, y_shape)[0]


@cache
def _hyper_synthesis(
    spec: HyperTransformSpec, z_shape: Shape, features: int
) -> _Counted:
    network = spec.hyper_synthesis(features, ParameterFactory(None))
    return _network(network, z_shape)[0]


@cache
def _prior(channels: int, filters: tuple[int, ...]) -> _Counted:
    # Tables replace it in the codec: parameters, but no work per pixel.
    prior = FactorizedPrior(ParameterFactory(None), channels, filters)
    return _Counted(_Structure.of(prior).params, (), 0)


@cache
def _coding_steps(spec: EntropyModelSpec, y_shape: Shape) -> _Counted:
    height, width, latent = y_shape
    steps = spec.coding_steps(latent, ParameterFactory(None))
    features = (height, width, spec.fused_features(latent))
    held = _bytes(features) + _bytes(y_shape)  # while parts of y are decoded
    params = _Structure.of(nnx.List(steps)).params  # steps may share networks
    products: tuple[Product, ...] = ()
    peak = 0
    fusion = spec.fusion(latent, ParameterFactory(None))
    if fusion is not None:
        part, _ = _network(fusion, (height, width, spec.hyper_features(latent)))
        params, products, peak = params + part.params, part.products, part.peak_bytes
    for step in steps:
        coded = jax.eval_shape(step.select, _batch(y_shape)).shape[1:]
        support = (height, width, step.support_channels)
        key = _Structure.of(step.unplaced())
        cost = _coding_step(key, features, support, coded)
        products += cost.products
        peak = max(peak, held + cost.peak_bytes)
    return _Counted(params, products, peak)


def _network(module: nnx.Module, shape: Shape) -> tuple[_Counted, Shape]:
    if isinstance(module, Network):
        params = peak = 0
        products: tuple[Product, ...] = ()
        for layer in module.layers:
            part, shape = _network(layer, shape)
            params += part.params
            products += part.products
            peak = max(peak, part.peak_bytes)
        return _Counted(params, products, peak), shape
    key = _Structure.of(module)
    cost, shape = _layer(key, shape)
    return _Counted(key.params, cost.products, cost.peak_bytes), shape


@dataclass(frozen=True)
class _Structure:
    """A module up to the values of its weights: equal ones cost the same."""

    graph: nnx.GraphDef
    tree: Any
    weights: tuple[Shape, ...]

    @classmethod
    def of(cls, module: nnx.Module) -> _Structure:
        graph, state = nnx.split(module)
        leaves, tree = jax.tree.flatten(state)
        return cls(graph, tree, tuple(leaf.shape for leaf in leaves))

    @property
    def params(self) -> int:
        return sum(map(math.prod, self.weights))

    def state(self) -> Any:
        leaves = [jax.ShapeDtypeStruct(shape, np.float32) for shape in self.weights]
        return jax.tree.unflatten(self.tree, leaves)


@cache
def _layer(key: _Structure, shape: Shape) -> tuple[Cost, Shape]:
    cost, output = cost_of(
        lambda state, x: nnx.merge(key.graph, state)(x), key.state(), _batch(shape)
    )
    return cost, output.shape[1:]


@cache
def _coding_step(key: _Structure, features: Shape, support: Shape, part: Shape) -> Cost:
    def decode(state: Any, features: Any, y_hat: Any, part: Any) -> Any:
        step = nnx.merge(key.graph, state)
        parameters = step.parameters(features, y_hat)
        return parameters, step.refine(part, parameters)

    return cost_of(decode, key.state(), *map(_batch, (features, support, part)))[0]


def _batch(shape: Shape) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *shape), np.float32)


def _bytes(shape: Shape) -> int:
    return 4 * math.prod(shape)
