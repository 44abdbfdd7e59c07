"""What `exact` must give on every device, of networks that the shipped model lacks.

Swin blocks, both forms of CHARM, transposed convolutions, LRP, blocks with depthwise
convolutions, spatial priors: with weights that are drawn, not trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.architectures import build
from rdc.codec.networks import CompiledNetworks
from rdc.codec.numerics import NUMERICS
from rdc.codec.tiles import Size
from rdc.model import CodePart, CompressionModel
from tests.architectures import ALL

ARCHITECTURES = (
    "elic-charm-swint",
    "swint-charm2020-conv",
    "evc-dual_spatial_prior-evc",
    "one_scale-quadtree_prior-one_scale",
)
HEIGHT, WIDTH = 3, 6  # of z: windows that are padded and shifted, too


def hashes() -> dict[str, dict[str, str]]:
    """SHA-256 of the table indices and of y_hat, by architecture."""
    return {name: of_model(drawn(name)) for name in ARCHITECTURES}


def drawn(name: str, lmbdas: Sequence[float] = ()) -> CompressionModel:
    """A model whose every weight differs from its neighbours, gains and biases too."""
    model = build(ALL[name], 0, lmbdas)
    random = np.random.default_rng(0)
    graph, state = nnx.split(model)

    def moved(weights: Any) -> jax.Array:
        noise = random.normal(0, 0.1, weights.shape)
        return jnp.asarray(weights + noise.astype(np.float32))

    return nnx.merge(graph, jax.tree.map(moved, state))


def of_model(
    model: CompressionModel,
    run: Callable[[CodePart, float], np.ndarray] | None = None,
    rate: float = 0,
) -> dict[str, str]:
    """Hashes of what the model makes of drawn symbols.

    Args:
      run: the loop over its coding steps; None for the codec's own with `exact`.
    """
    if run is None:
        sides = (n * model.spec.padding_multiple_px for n in (HEIGHT, WIDTH))
        exact = CompiledNetworks(model, NUMERICS["exact"])
        run = partial(_run, exact, tuple(sides))
    random = np.random.default_rng(1)
    z_hat = np.rint(random.normal(0, 4, (1, HEIGHT, WIDTH, model.prior.channels)))
    z_hat[:, 0, 0, 0] = 255
    indices = []

    def code(step: Any, parameters: Any) -> np.ndarray:
        if step.latent == "z":
            return z_hat.astype(np.float32)
        index = getattr(parameters, "table_index", parameters.scale_index)
        indices.append(np.rint(np.asarray(index)).astype("<i4"))
        mean, size = np.asarray(parameters.mean), parameters.step
        size = 1.0 if size is None else np.asarray(size)
        return np.rint(random.normal(0, 3, mean.shape)) * size + mean

    y_hat = run(code, rate).astype("<f4")
    return {
        "table_indices": _hash(np.concatenate(indices, axis=-1)),
        "y_hat": _hash(y_hat),
    }


def _run(
    networks: CompiledNetworks, image_px: Size, code: CodePart, rate: float
) -> np.ndarray:
    return networks.run(code, image_px, rate)


def _hash(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
