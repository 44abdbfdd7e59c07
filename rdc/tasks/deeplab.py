"""DeepLabV3 in torchvision's layout: a class for each pixel."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
from flax import nnx

from rdc.layers import BatchNorm, Conv, Network, PaddedConv, ParameterFactory, Relu
from rdc.specs.task_networks import DeepLabSpec
from rdc.tasks.resnet import ResNetStages

_DILATIONS = (12, 24, 36)  # of the 3 x 3 kernels side by side, at H/8


class DeepLab(nnx.Module):
    """A segmentation on f32[B,H,W,3] in [0, 1]; see `rdc.split.base.Teacher`.

    Its answers are logits at H/8, f32[B,ceil(H/8),ceil(W/8),classes]; `upsampled`
    brings them to the photograph's size. It has torchvision's names, and no dropout.
    """

    head_from = 4

    def __init__(self, spec: DeepLabSpec, parameters: ParameterFactory):
        self.spec = spec
        self.backbone = ResNetStages(spec.backbone, parameters)
        channels, inner = spec.backbone.channels, spec.head_channels
        self.classifier = nnx.List(
            [
                _Pyramid(parameters, channels[3], inner),
                *_convolved(parameters, inner, inner, 3),
                Conv(parameters, inner, spec.classes, kernel=1),
            ]
        )
        if spec.auxiliary:
            middle = max(channels[2] // 4, 1)
            self.aux_classifier = nnx.List(
                [
                    *_convolved(parameters, channels[2], middle, 3),
                    Network(),  # torchvision's dropout: it keeps the names' numbers
                    Conv(parameters, middle, spec.classes, kernel=1),
                ]
            )

    def stem(self, x: jax.Array) -> jax.Array:
        return self.backbone.stem(x)

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        return self.backbone.stage(i, x)

    def head(self, x: jax.Array) -> jax.Array:
        """The output of layer 4 -> logits f32[B,h,w,classes]."""
        return _through(self.classifier, x)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.with_auxiliary(x)[0]

    def with_auxiliary(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """Logits of the head, and of the auxiliary classifier where there is one."""
        x = self.stem(x)
        for i in (1, 2, 3):
            x = self.stage(i, x)
        logits = self.head(self.stage(4, x))
        if not self.spec.auxiliary:
            return (logits,)
        return logits, _through(self.aux_classifier, x)


def upsampled(logits: jax.Array, height: int, width: int) -> jax.Array:
    """f32[B,h,w,C] -> f32[B,height,width,C], bilinear between centres of pixels.

    PyTorch's `interpolate` without `align_corners`.
    """
    batch, _, _, channels = logits.shape
    shape = (batch, height, width, channels)
    return jax.image.resize(logits, shape, "linear", antialias=False)


class _Pyramid(nnx.Module):
    """Atrous spatial pyramid pooling: 1 x 1, three dilations, the mean of all."""

    def __init__(self, make: ParameterFactory, inputs: int, outputs: int):
        self.convs = nnx.List(
            [
                _convolved(make, inputs, outputs, 1),
                *(_convolved(make, inputs, outputs, 3, d) for d in _DILATIONS),
                nnx.List([_Mean(), *_convolved(make, inputs, outputs, 1)]),
            ]
        )
        self.project = _convolved(make, len(self.convs) * outputs, outputs, 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        parts = [_through(layers, x) for layers in self.convs]
        whole = parts.pop()
        parts.append(jnp.broadcast_to(whole, parts[0].shape))
        return _through(self.project, jnp.concatenate(parts, -1))


class _Mean(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.mean(x, (1, 2), keepdims=True)


def _convolved(
    make: ParameterFactory, inputs: int, outputs: int, kernel: int, dilation: int = 1
) -> nnx.List:
    padding = kernel // 2 * dilation
    conv = PaddedConv(make, inputs, outputs, kernel, 1, padding, dilation)
    return nnx.List([conv, BatchNorm(make, outputs), Relu()])


def _through(layers: Iterable[nnx.Module], x: jax.Array) -> jax.Array:
    for layer in layers:
        x = layer(x)
    return x
