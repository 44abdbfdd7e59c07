"""Where every parameter comes from."""

from __future__ import annotations

import math

import jax
import numpy as np
from flax import nnx


class ParameterFactory:
    """Makes parameters in order, from a seed, or only their shapes.

    NumPy draws the initial values: they are equal on every device and version of JAX,
    and need no compilation. With `seed=None` parameters are abstract, so that models
    of any size are counted without memory.
    """

    def __init__(self, seed: int | None):
        self._random = None if seed is None else np.random.default_rng(seed)

    def weights(self, shape: tuple[int, ...], fan_in: float) -> nnx.Param:
        """Uniform with variance 1 / fan_in."""
        limit = math.sqrt(3.0 / fan_in)
        random = self._random
        if random is None:
            return self._abstract(shape)
        return self._param(random.uniform(-limit, limit, shape))

    def bias(self, channels: int, fan_in: float) -> nnx.Param:
        """Uniform with variance 1 / (3 fan_in), PyTorch's default.

        Not zero: behind a ReLU, a hyper-synthesis that starts from z_hat = 0 with zero
        biases would have no gradient.
        """
        return self.weights((channels,), 3.0 * fan_in)

    def constant(self, value: float | np.ndarray, shape: tuple[int, ...]) -> nnx.Param:
        """`value` everywhere, or an array of `shape`."""
        if self._random is None:
            return self._abstract(shape)
        return self._param(np.broadcast_to(value, shape))

    def statistic(self, value: float, shape: tuple[int, ...]) -> nnx.BatchStat:
        """`value` everywhere, of what is measured and not trained."""
        return nnx.BatchStat(self.constant(value, shape).get_value())

    @staticmethod
    def _abstract(shape: tuple[int, ...]) -> nnx.Param:
        return nnx.Param(jax.ShapeDtypeStruct(shape, np.float32))

    @staticmethod
    def _param(values: np.ndarray) -> nnx.Param:
        return nnx.Param(jax.numpy.asarray(values, np.float32))
