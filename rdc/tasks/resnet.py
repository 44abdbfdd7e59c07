"""Residual networks in torchvision's layout: the teachers of split computing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers import BatchNorm, MaxPool, PaddedConv, ParameterFactory
from rdc.specs.task_networks import EXPANSION, ResNetSpec

# Of ImageNet, as torchvision's weights expect them.
_MEAN = np.asarray([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.asarray([0.229, 0.224, 0.225], np.float32)


class ResNetStages(nnx.Module):
    """What task networks have in common, on f32[B,H,W,3] in [0, 1].

    x - stem H/4 - layer1 H/4 - layer2 H/8 - layer3 H/16 - layer4 H/32
    """

    def __init__(self, spec: ResNetSpec, parameters: ParameterFactory):
        self.spec = spec
        channels = spec.widths[0]
        self.conv1 = PaddedConv(parameters, 3, channels, kernel=7, stride=2, padding=3)
        self.bn1 = BatchNorm(parameters, channels)
        make = _Bottleneck if spec.bottleneck else _Basic
        for i, (width, count) in enumerate(
            zip(spec.widths, spec.blocks, strict=True), 1
        ):
            blocks = []
            for j in range(count):
                first = i > 1 and j == 0
                stride, dilation = 2 if first else 1, 1
                if spec.dilated and i > 2:
                    # A layer's first block still has the dilation of the one before.
                    stride, dilation = 1, 2 ** (i - 2 - first)
                blocks.append(make(parameters, channels, width, stride, dilation))
                channels = width * make.expansion
            setattr(self, f"layer{i}", nnx.List(blocks))

    def stem(self, x: jax.Array) -> jax.Array:
        """f32[B,H,W,3] in [0, 1] -> f32[B,ceil(H/4),ceil(W/4),C]."""
        x = nnx.relu(self.bn1(self.conv1((x - _MEAN) / _DEVIATION)))
        return MaxPool()(x)

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        """Layer i, 1 to 4, on the output of the one before."""
        for block in getattr(self, f"layer{i}"):
            x = block(x)
        return x


class ResNet(ResNetStages):
    """A classifier; see `rdc.split.base.Teacher`. Its stage 5 is the pooling."""

    head_from = 5

    def __init__(self, spec: ResNetSpec, parameters: ParameterFactory):
        super().__init__(spec, parameters)
        self.fc = _Linear(parameters, spec.channels[-1], spec.classes)

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        """Layer i, 1 to 4, on the output of the one before; 5: -> f32[B,1,1,C]."""
        if i == self.head_from:
            return jnp.mean(x, (1, 2), keepdims=True)
        return super().stage(i, x)

    def head(self, x: jax.Array) -> jax.Array:
        """Pooled features -> logits f32[B, classes]."""
        return self.fc(x[:, 0, 0])

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.stem(x)
        for i in range(1, self.head_from + 1):
            x = self.stage(i, x)
        return self.head(x)


class _Linear(nnx.Module):
    def __init__(self, parameters: ParameterFactory, inputs: int, outputs: int):
        self.kernel = parameters.weights((inputs, outputs), inputs)
        self.bias = parameters.bias(outputs, inputs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel[...] + self.bias[...]


def _shortcut(
    parameters: ParameterFactory, inputs: int, outputs: int, stride: int
) -> nnx.List | None:
    """torchvision's `downsample`; None where the input fits as it is."""
    if stride == 1 and inputs == outputs:
        return None
    conv = PaddedConv(parameters, inputs, outputs, kernel=1, stride=stride)
    return nnx.List([conv, BatchNorm(parameters, outputs)])


def _added(x: jax.Array, change: jax.Array, shortcut: nnx.List | None) -> jax.Array:
    for layer in shortcut or ():
        x = layer(x)
    return nnx.relu(x + change)


def _three(
    make: ParameterFactory, inputs: int, outputs: int, stride: int, dilation: int
) -> PaddedConv:
    return PaddedConv(
        make, inputs, outputs, 3, stride, padding=dilation, dilation=dilation
    )


class _Basic(nnx.Module):
    expansion = 1

    def __init__(
        self,
        make: ParameterFactory,
        inputs: int,
        width: int,
        stride: int,
        dilation: int,
    ):
        self.conv1 = _three(make, inputs, width, stride, dilation)
        self.bn1 = BatchNorm(make, width)
        self.conv2 = _three(make, width, width, 1, dilation)
        self.bn2 = BatchNorm(make, width)
        self.downsample = _shortcut(make, inputs, width, stride)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.bn1(self.conv1(x)))
        return _added(x, self.bn2(self.conv2(y)), self.downsample)


class _Bottleneck(nnx.Module):
    expansion = EXPANSION

    def __init__(
        self,
        make: ParameterFactory,
        inputs: int,
        width: int,
        stride: int,
        dilation: int,
    ):
        outputs = width * self.expansion
        self.conv1 = PaddedConv(make, inputs, width, kernel=1)
        self.bn1 = BatchNorm(make, width)
        self.conv2 = _three(make, width, width, stride, dilation)
        self.bn2 = BatchNorm(make, width)
        self.conv3 = PaddedConv(make, width, outputs, kernel=1)
        self.bn3 = BatchNorm(make, outputs)
        self.downsample = _shortcut(make, inputs, outputs, stride)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = nnx.relu(self.bn2(self.conv2(y)))
        return _added(x, self.bn3(self.conv3(y)), self.downsample)
