"""Batch normalisation, whose statistics are no trained parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers.parameters import ParameterFactory

_EPSILON = 1e-5  # PyTorch's default


class BatchNorm(nnx.Module):
    """Per channel; with stored statistics until `train()` is called.

    After `train()` it normalises with the batch's own statistics and leaves these in
    `running_mean` and `running_var`, without an average over batches.
    """

    def __init__(self, parameters: ParameterFactory, channels: int):
        shape = (channels,)
        self.weight = parameters.constant(1.0, shape)
        self.bias = parameters.constant(0.0, shape)
        self.running_mean = parameters.statistic(0.0, shape)
        self.running_var = parameters.statistic(1.0, shape)
        self.use_running_average = True

    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.use_running_average:
            self.running_mean.set_value(jnp.mean(x, (0, 1, 2)))
            centred = x - self.running_mean[...]
            self.running_var.set_value(jnp.mean(jnp.square(centred), (0, 1, 2)))
        gain = self.weight[...] * jax.lax.rsqrt(self.running_var[...] + _EPSILON)
        return (x - self.running_mean[...]) * gain + self.bias[...]
