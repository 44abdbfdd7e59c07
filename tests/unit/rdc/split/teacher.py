"""A small network with the parts of a teacher."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers import Conv, ParameterFactory
from rdc.specs.task_networks import ResNetSpec

CHANNELS = 8
CLASSES = 3
SPEC = ResNetSpec(classes=CLASSES)


class SmallTeacher(nnx.Module):
    """One convolution for each stage.

    Args:
      spec: of the task alone.
      parameters: None: random ones, always the same.
    """

    head_from = 4

    def __init__(
        self, spec: ResNetSpec = SPEC, parameters: ParameterFactory | None = None
    ):
        make, self.spec = parameters or ParameterFactory(0), spec
        self.conv1 = Conv(make, 3, CHANNELS, 3, stride=2)
        self.bn1 = Conv(make, CHANNELS, CHANNELS, 3, stride=2)
        self.layer1 = Conv(make, CHANNELS, CHANNELS, 3)
        for i in (2, 3, 4):
            setattr(self, f"layer{i}", Conv(make, CHANNELS, CHANNELS, 3, stride=2))
        self.fc = make.weights((CHANNELS, CLASSES), CHANNELS)

    def stem(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.bn1(nnx.relu(self.conv1(x))))

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        return nnx.relu(getattr(self, f"layer{i}")(x))

    def head(self, x: jax.Array) -> jax.Array:
        return jnp.mean(x, (1, 2)) @ self.fc[...]
