"""What moves the parameters of the small loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rdc.errors import ConfigError
from rdc.layers import ParameterFactory
from rdc.specs.tasks import FitRecipe, OptimizerSpec
from rdc.split.priors import LatentPrior
from rdc.training.fit import optimizer_of


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_densities_learn_faster_and_nothing_else(name: str) -> None:
    """Of a hyperprior: z has a density, y's networks are as all others."""
    params = nnx.state(LatentPrior(ParameterFactory(0), 4, hyper_channels=4), nnx.Param)
    gradient = jax.tree.map(jnp.ones_like, params)

    def step(density_rate: float) -> dict[str, np.ndarray]:
        spec = OptimizerSpec(name=name, density_rate=density_rate)
        optimizer = optimizer_of(FitRecipe(steps=10, optimizer=spec))
        update, _ = optimizer.update(gradient, optimizer.init(params), params)
        moved = optax.apply_updates(params, update)
        change = jax.tree.map(lambda new, old: new - old, moved, params)
        flat = jax.tree_util.tree_flatten_with_path(change)[0]
        return {jax.tree_util.keystr(path): np.asarray(x) for path, x in flat}

    plain, faster = step(1), step(20)
    densities = {path for path in plain if "density" in path}
    assert 0 < len(densities) < len(plain)
    for path, change in plain.items():
        times = 20 if path in densities else 1
        np.testing.assert_allclose(faster[path], times * change, rtol=1e-3, atol=1e-6)


def test_rates_are_positive() -> None:
    with pytest.raises(ConfigError, match="density_rate is positive; got 0"):
        OptimizerSpec(density_rate=0)
