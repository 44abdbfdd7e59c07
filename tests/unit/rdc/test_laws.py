"""Laws that every registered component inherits."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.entropy_models.patterns import CHECKERBOARD, QUADTREE
from rdc.layers import ParameterFactory
from rdc.model import run_coding_steps
from rdc.ops.quantization import ste_round
from rdc.registry import REGISTRY, parse_architecture, parse_component
from rdc.specs.components import ArchitectureSpec, HyperTransformSpec
from tests.architectures import ALL, COVERING, SMALL

covering = pytest.mark.parametrize("spec", COVERING.values(), ids=COVERING)
STEPWISE = {
    name: spec for name, spec in ALL.items() if spec.hyper_transform is not None
}
everything = pytest.mark.parametrize("spec", ALL.values(), ids=ALL)

# Another valid value for every field of every component.
OTHER_VALUES: dict[tuple[str, str], object] = {
    ("conv", "channels"): [12, 16, 10],
    ("conv", "latent_channels"): 28,
    ("conv", "kernel"): 3,
    ("conv", "gdn_form"): "original",
    ("elic", "channels"): [8, 14, 16],
    ("elic", "latent_channels"): 28,
    ("elic", "residual_blocks"): 2,
    ("swint", "widths"): [8, 16, 16, 24],
    ("swint", "depths"): [1, 1, 1, 2],
    ("swint", "window"): 2,
    ("swint", "head_dim"): 4,
    ("evc", "encoder_channels"): [8, 12, 14],
    ("evc", "decoder_channels"): [8, 12, 20],
    ("evc", "latent_channels"): 28,
    ("one_scale", "channels"): 16,
    ("one_scale", "latent_channels"): 28,
    ("one_scale", "encoder_blocks"): 1,
    ("one_scale", "decoder_blocks"): 1,
    ("dual_spatial_prior", "adaptive_steps"): False,
    ("dual_spatial_prior", "scales_from"): "hyper",
    ("quadtree_prior", "trunk_blocks"): 2,
    ("quadtree_prior", "adaptive_steps"): True,
    ("quadtree_prior", "scales_from"): "hyper",
    ("charm", "num_slices"): 6,
    ("charm", "max_support_slices"): 1,
    ("charm", "slice_channels"): [10, 9],
    ("charm", "kernels"): [3, 1, 3],
    ("charm", "projection_channels"): 5,
    ("charm", "projection_kernel"): 3,
    ("charm", "slice_widths"): [4, 6, 6, 8],
    ("charm", "scales_from"): "hyper",
    ("charm2020", "num_slices"): 6,
    ("charm2020", "max_support_slices"): 1,
    ("charm2020", "slice_channels"): [10, 9],
    ("charm2020", "kernels"): [3, 1, 3],
    ("charm2020", "slice_widths"): [4, 6, 6, 8],
    ("charm2020", "slice_features"): "own",
    ("charm2020", "widening"): True,
    ("charm2020", "lrp"): False,
    ("charm2020", "scales_from"): "hyper",
    ("hyper conv", "analysis_channels"): [8, 12, 11],
    ("hyper conv", "synthesis_channels"): [10, 12],
    ("hyper conv", "synthesis_branches"): 2,
    ("hyper evc", "channels"): 12,
    ("hyper one_scale", "channels"): 12,
    ("hyper swint", "widths"): [8, 8],
    ("hyper swint", "depths"): [1, 1],
    ("hyper swint", "window"): 2,
    ("hyper swint", "head_dim"): 4,
}


def fields() -> list[tuple[str, str, str]]:
    return [
        (kind, name, field.name)
        for kind, table in REGISTRY.items()
        for name, component in table.items()
        for field in dataclasses.fields(component)
    ]


def images(size: int = 64, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((batch, size, size, 3), np.float32)


def test_every_component_has_small_sizes() -> None:
    assert {kind: set(table) for kind, table in SMALL.items()} == {
        kind: set(table) for kind, table in REGISTRY.items()
    }


@everything
def test_shapes(spec: ArchitectureSpec) -> None:
    model = build(spec, seed=None)
    graph, state = nnx.split(model)
    x = jax.ShapeDtypeStruct((2, 64, 192, 3), np.float32)

    def forward(state, x):
        model = nnx.merge(graph, state)
        return model.analysis_transform(x), model(x, jax.random.key(0))

    y, output = jax.eval_shape(forward, state, x)
    assert y.shape == (2, 4, 12, spec.transform.latent_channels)
    assert output.x_hat.shape == x.shape
    assert output.bits_y.shape == output.bits_z.shape == (2,)


@pytest.mark.parametrize(("kind", "name", "field"), fields())
def test_every_field_changes_the_model(kind: str, name: str, field: str) -> None:
    key = f"hyper {name}" if kind == "hyper_transform" else name
    base = next(
        spec
        for spec in ALL.values()
        if getattr(spec, kind) and getattr(spec, kind).name == name
    ).to_dict()
    other = {**base, kind: {**base[kind], field: OTHER_VALUES[key, field]}}
    models = [build(parse_architecture(values), seed=0) for values in (base, other)]
    states = [jax.tree.map(jnp.shape, nnx.state(model)) for model in models]
    if states[0] != states[1]:
        return
    # Same weights: then the computation must differ.
    x = images()
    outputs = [model(x, jax.random.key(0)) for model in models]
    differences = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), *outputs)
    assert max(jax.tree.leaves(differences)) > 1e-6


def supports(spec: ArchitectureSpec) -> list[np.ndarray]:
    """bool[4,4,C] of each coding step of y: what its networks may see, by the spec."""
    model, channels = spec.entropy_model, spec.transform.latent_channels
    passes = {"dual_spatial_prior": CHECKERBOARD, "quadtree_prior": QUADTREE}
    if model.name in passes:
        decoded, seen = np.zeros((4, 4, channels), bool), []
        for groups in passes[model.name]:
            seen.append(decoded.copy())
            width = channels // len(passes[model.name])
            for row, column in itertools.product(range(4), range(4)):
                first = groups[row % 2][column % 2] * width
                decoded[row, column, first : first + width] = True
        assert decoded.all()
        return seen
    seen = [np.zeros((4, 4, channels), bool)]
    if hasattr(model, "num_slices"):
        equal = [channels // model.num_slices] * model.num_slices
        widths = model.slice_widths or equal
        ends = [
            sum(widths[: min(i, model.max_support_slices)]) for i in range(len(widths))
        ]
        seen = [
            np.broadcast_to(np.arange(channels) < end, (4, 4, channels)) for end in ends
        ]
    return seen


@pytest.mark.parametrize("spec", STEPWISE.values(), ids=STEPWISE)
def test_steps_depend_on_their_support_alone(spec: ArchitectureSpec) -> None:
    model = build(spec, seed=0)
    random = np.random.default_rng(0)
    hyperlatents = spec.hyper_transform.hyperlatent_channels
    z_hat = random.normal(size=(1, 1, 1, hyperlatents)).astype(np.float32)
    y = random.normal(size=(1, 4, 4, spec.transform.latent_channels))

    @jax.jit
    def summaries(y):
        sums = []

        def code(step, parameters):
            if step.latent == "z":
                return z_hat
            sums.append(jnp.sum(parameters.mean) + jnp.sum(parameters.scale_index))
            return step.select(y)

        assert run_coding_steps(model, code).shape == y.shape
        return jnp.stack(sums)

    jacobian = jax.jacobian(summaries)(jnp.asarray(y, jnp.float32))
    influence = np.abs(jacobian)[:, 0]  # [of step, of row, of column, of channel]
    expected = supports(spec)
    assert len(influence) == len(expected)
    for of_step, support in zip(influence, expected, strict=True):
        assert (of_step[support] > 0).all()
        assert (of_step[~support] == 0).all()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", REGISTRY["hyper_transform"])
def test_hyper_analysis_sees_how_large_y_is(name: str, small: bool) -> None:
    """It is what a hyperprior transmits; a norm over y would hide it."""
    sizes = SMALL["hyper_transform"][name] if small else {}
    spec = parse_component("hyper_transform", {"name": name, **sizes})
    assert isinstance(spec, HyperTransformSpec)
    network = spec.hyper_analysis(24, ParameterFactory(0))
    y = 3 * np.random.default_rng(0).normal(size=(1, 16, 16, 24)).astype(np.float32)
    z = network(y)
    for factor in (0.5, 2.0):
        change = jnp.linalg.norm(network(factor * y) - z) / jnp.linalg.norm(z)
        assert float(change) > 0.1


@covering
def test_gradients_reach_every_parameter(spec: ArchitectureSpec) -> None:
    model = build(spec, seed=0)
    graph, state = nnx.split(model)
    # Strong enough that z does not round to zero, which would hide its readers.
    # Large enough that attention over z has more than one position to choose from.
    x = 100 * images(256)

    @jax.jit
    def gradient(state):
        def loss(state):
            output = nnx.merge(graph, state)(x, jax.random.key(0))
            bits = jnp.sum(output.bits_y) + jnp.sum(output.bits_z)
            error = jnp.mean(jnp.square(255 * (output.x_hat - x)))
            return bits / x[..., 0].size + 0.1 * error

        return jax.grad(loss)(state)

    for path, leaf in jax.tree.leaves_with_path(gradient(state)):
        assert float(jnp.abs(leaf).max()) > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", REGISTRY["entropy_model"])
def test_a_constant_latent_costs_nothing(name: str) -> None:
    """Fitted to y = 0 everywhere, the rate of every entropy model goes to zero."""
    spec = next(s for s in ALL.values() if s.entropy_model.name == name)
    graph, state = nnx.split(build(spec, seed=0))
    y = jnp.zeros((1, 4, 4, spec.transform.latent_channels))
    # Falling: deep networks do not hold still at a rate that moves shallow ones.
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, 800))

    def bits_per_latent(state):
        model = nnx.merge(graph, state)
        latents = {"y": y}
        if model.hyper_synthesis is not None:
            latents["z"] = model.hyperlatents(y)
        bits = []

        def code(step, parameters):
            symbols = step.symbols(step.select(latents[step.latent]), parameters)
            symbols = ste_round(symbols)
            bits.append(jnp.sum(step.bits(symbols, parameters)))
            return step.values(symbols, parameters)

        run_coding_steps(model, code)
        return sum(bits) / y.size

    @jax.jit
    def step(state, moments):
        value, gradient = jax.value_and_grad(bits_per_latent)(state)
        updates, moments = optimiser.update(gradient, moments)
        return optax.apply_updates(state, updates), moments, value

    moments = optimiser.init(state)
    values = []
    for _ in range(800):
        state, moments, value = step(state, moments)
        values.append(float(value))
    assert values[0] > 0.5
    assert min(values[-20:]) < 0.02
