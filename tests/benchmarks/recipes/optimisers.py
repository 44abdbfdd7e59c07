"""Optimisers that the study compares, losers included, and weights of other models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rdc.specs.recipe import Recipe
from rdc.training.optimizers import optimizer, schedule


def _muon(recipe: Recipe) -> optax.GradientTransformation:
    """optax's, on kernels f32[height * width * inputs, outputs]; Adam on the rest."""
    dimensions = optax.contrib.MuonDimensionNumbers

    def numbers(params: Any) -> Any:
        def of(weights: Any) -> Any:
            if weights.ndim == 4:
                return dimensions((0, 1, 2), 3)
            return None

        return jax.tree.map(of, params)

    muon = optax.contrib.muon(
        schedule(recipe),
        adam_learning_rate=schedule(recipe),
        consistent_rms=0.2,
        muon_weight_dimension_numbers=numbers,
    )
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), muon)


def _schedule_free(recipe: Recipe) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm),
        optax.contrib.schedule_free_adamw(
            recipe.learning_rate, warmup_steps=max(recipe.warmup, 1)
        ),
    )


def _adam(b1: float, b2: float) -> Callable[[Recipe], optax.GradientTransformation]:
    return lambda recipe: optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm),
        optax.adam(schedule(recipe), b1=b1, b2=b2),
    )


def _in_optax(
    make: Callable[..., optax.GradientTransformation],
) -> Callable[[Recipe], optax.GradientTransformation]:
    return lambda recipe: optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm), make(schedule(recipe))
    )


def scale_by_soap(
    b1: float = 0.95, b2: float = 0.95, every: int = 10
) -> optax.GradientTransformation:
    """Adam in the eigenbasis of the gradient's second moments (arXiv 2409.11321).

    Of a kernel, seen as a matrix f32[height * width * inputs, outputs], sides of at
    most 1600 get a basis; it moves by a QR step every so many steps.
    """
    largest = 1600

    def matrix(g: jax.Array) -> jax.Array:
        return g.reshape(-1, g.shape[-1])

    def is_matrix(g: Any) -> bool:
        return g.ndim in (2, 4) and min(g.size // g.shape[-1], g.shape[-1]) > 1

    def sides(g: Any) -> list[int]:
        if not is_matrix(g):
            return []
        return [n if n <= largest else 0 for n in (g.size // g.shape[-1], g.shape[-1])]

    def init(params: Any) -> Any:
        def squares(p: Any) -> list[jax.Array]:
            return [jnp.zeros((n, n)) for n in sides(p)]

        leaves = jax.tree.leaves(params)
        return {
            "count": jnp.zeros((), jnp.int32),
            "mu": [jnp.zeros_like(p) for p in leaves],
            "nu": [jnp.zeros_like(p) for p in leaves],
            "moments": [squares(p) for p in leaves],
            "bases": [[jnp.eye(n) for n in sides(p)] for p in leaves],
        }

    def turned(g: jax.Array, bases: list[jax.Array], back: bool = False) -> jax.Array:
        if not bases:
            return g
        m = matrix(g)
        left, right = (b.T if back else b for b in bases)
        if left.size:
            m = left.T @ m
        if right.size:
            m = m @ right
        return m.reshape(g.shape)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        leaves, structure = jax.tree.flatten(updates)
        count = state["count"] + 1
        mu, nu, moments, bases, steps = [], [], [], [], []
        correction = jnp.sqrt(1 - b2**count) / (1 - b1**count)
        for i, g in enumerate(leaves):
            basis, moment = state["bases"][i], state["moments"][i]
            m = b1 * state["mu"][i] + (1 - b1) * g
            rotated = turned(g, basis)
            v = b2 * state["nu"][i] + (1 - b2) * rotated**2
            direction = turned(m, basis) / (jnp.sqrt(v) + 1e-8 * 0.1)
            steps.append(correction * turned(direction, basis, back=True))
            if basis:
                own = matrix(g)
                seen = [own @ own.T if moment[0].size else moment[0], own.T @ own]
                if not moment[1].size:
                    seen[1] = moment[1]
                moment = [
                    a + (1 - b2) * (s - a) for a, s in zip(moment, seen, strict=True)
                ]

                def moved(pair: Any) -> list[jax.Array]:
                    return [
                        jnp.linalg.qr(a @ b)[0] if a.size else b
                        for a, b in zip(*pair, strict=True)
                    ]

                basis = jax.lax.cond(
                    count % every == 1, moved, lambda pair: pair[1], (moment, basis)
                )
            mu.append(m)
            nu.append(v)
            moments.append(moment)
            bases.append(basis)
        new = {"count": count, "mu": mu, "nu": nu, "moments": moments, "bases": bases}
        return jax.tree.unflatten(structure, steps), new

    return optax.GradientTransformation(init, update)


def _soap(recipe: Recipe) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm),
        scale_by_soap(),
        optax.scale_by_learning_rate(schedule(recipe)),
    )


OPTIMISERS: dict[str, Callable[[Recipe], optax.GradientTransformation]] = {
    "adam": optimizer,
    "adam in frequencies": lambda recipe: optimizer(
        replace(recipe, kernel_basis="frequencies")
    ),
    "adam, b2 0.99": _adam(0.9, 0.99),
    "nadam": _in_optax(optax.nadam),
    "adan": _in_optax(optax.adan),
    "ademamix": _in_optax(optax.contrib.ademamix),
    "lion": _in_optax(optax.lion),
    "muon": _muon,
    "schedule_free": _schedule_free,
    "soap": _soap,
}


def copy_corner(source: nnx.Module, target: nnx.Module) -> None:
    """Weights of a narrower model (or an equal one) into the first channels of all.

    A joint of features that lie one behind the other (means and scales) would not
    meet: such models need the same widths there.
    """
    given = nnx.to_flat_state(nnx.state(source, nnx.Param))
    own = dict(nnx.to_flat_state(nnx.state(target, nnx.Param)))
    for path, value in given:
        old, new = np.array(own[path][...]), np.asarray(value[...])
        old[tuple(slice(n) for n in new.shape)] = new
        own[path].set_value(jnp.asarray(old))
    nnx.update(target, nnx.from_flat_state(own))
