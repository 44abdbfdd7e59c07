"""RetinaNet in torchvision's layout: boxes of things."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdc.layers import Conv, ParameterFactory, Relu
from rdc.specs.task_networks import RetinaNetSpec
from rdc.tasks.boxes import ANCHORS_PER_PLACE
from rdc.tasks.resnet import ResNetStages

_CONVOLUTIONS = 4  # of each head before its answer
_FIRST_SHARE = 0.01  # of anchors that a new network takes for a thing


class RetinaNet(nnx.Module):
    """A detector on f32[B,H,W,3] in [0, 1]; see `rdc.split.base.Teacher`.

    Its answers are f32[B, anchors, classes + 4]: a logit for each class and the four
    offsets of each of `rdc.tasks.boxes.anchors_of`. torchvision's `head` is called
    `heads`.
    """

    def __init__(self, spec: RetinaNetSpec, parameters: ParameterFactory):
        self.spec, self.head_from = spec, spec.first_stage
        self.backbone = _Backbone(spec, parameters)
        self.heads = _Heads(spec, parameters)

    def stem(self, x: jax.Array) -> jax.Array:
        return self.backbone.body.stem(x)

    def stage(self, i: int, x: jax.Array) -> jax.Array:
        return self.backbone.body.stage(i, x)

    def head(self, *stages: jax.Array) -> jax.Array:
        """The outputs of layers `first_stage` to 4 -> f32[B, anchors, classes + 4]."""
        return self.heads(self.backbone.fpn(stages))

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.stem(x)
        outputs = []
        for i in range(1, 5):
            x = self.stage(i, x)
            outputs.append(x)
        return self.head(*outputs[self.head_from - 1 :])


class _Backbone(nnx.Module):
    def __init__(self, spec: RetinaNetSpec, make: ParameterFactory):
        self.body = ResNetStages(spec.backbone, make)
        inputs = spec.backbone.channels[spec.first_stage - 1 :]
        self.fpn = _Pyramid(make, inputs, spec.pyramid_channels)


class _Pyramid(nnx.Module):
    """Feature pyramid network with two coarser levels made of its last."""

    def __init__(self, make: ParameterFactory, inputs: Sequence[int], outputs: int):
        def lists(convolutions: list[Conv]) -> nnx.List:
            return nnx.List([nnx.List([each]) for each in convolutions])

        self.inner_blocks = lists([Conv(make, n, outputs, kernel=1) for n in inputs])
        self.layer_blocks = lists(
            [Conv(make, outputs, outputs, kernel=3) for _ in inputs]
        )
        self.extra_blocks = _Coarser(make, outputs)

    def __call__(self, stages: Sequence[jax.Array]) -> list[jax.Array]:
        """Maps of the stages, finest first -> levels, finest first."""
        inner = _each(self.inner_blocks, stages)
        for i in reversed(range(len(inner) - 1)):
            inner[i] += _stretched(inner[i + 1], *inner[i].shape[1:3])
        levels = _each(self.layer_blocks, inner)
        return levels + self.extra_blocks(levels[-1])


def _each(blocks: nnx.List, maps: Sequence[jax.Array]) -> list[jax.Array]:
    return [block[0](x) for block, x in zip(blocks, maps, strict=True)]


class _Coarser(nnx.Module):
    def __init__(self, make: ParameterFactory, channels: int):
        self.p6 = Conv(make, channels, channels, kernel=3, stride=2)
        self.p7 = Conv(make, channels, channels, kernel=3, stride=2)

    def __call__(self, x: jax.Array) -> list[jax.Array]:
        x = self.p6(x)
        return [x, self.p7(nnx.relu(x))]


class _Heads(nnx.Module):
    def __init__(self, spec: RetinaNetSpec, make: ParameterFactory):
        channels = spec.pyramid_channels
        # With logits of 0, the many anchors of no thing would be all of the loss.
        odds = math.log(_FIRST_SHARE / (1 - _FIRST_SHARE))
        self.classification_head = _Head(
            make, channels, "cls_logits", spec.classes, odds
        )
        self.regression_head = _Head(make, channels, "bbox_reg", 4)

    def __call__(self, levels: list[jax.Array]) -> jax.Array:
        both = (self.classification_head, self.regression_head)
        parts = [jnp.concatenate([head(x) for head in both], axis=-1) for x in levels]
        return jnp.concatenate(parts, axis=1)


class _Head(nnx.Module):
    """f32[B,h,w,C] -> f32[B, h w anchors, values]; the same for all levels.

    Args:
      last: name of the last convolution.
      bias: of the last convolution, at first.
    """

    def __init__(
        self,
        make: ParameterFactory,
        channels: int,
        last: str,
        values: int,
        bias: float = 0.0,
    ):
        self.conv = nnx.List(
            [
                nnx.List([Conv(make, channels, channels, kernel=3), Relu()])
                for _ in range(_CONVOLUTIONS)
            ]
        )
        outputs = ANCHORS_PER_PLACE * values
        answer = Conv(make, channels, outputs, kernel=3)
        answer.bias = make.constant(bias, (outputs,))
        setattr(self, last, answer)
        self.last, self.values = last, values

    def __call__(self, x: jax.Array) -> jax.Array:
        for convolution, relu in self.conv:
            x = relu(convolution(x))
        x = getattr(self, self.last)(x)
        return x.reshape(x.shape[0], -1, self.values)


def _stretched(x: jax.Array, height: int, width: int) -> jax.Array:
    """To the nearest position above and left, as PyTorch's `interpolate` takes it."""
    rows = np.arange(height) * x.shape[1] // height
    columns = np.arange(width) * x.shape[2] // width
    return x[:, rows][:, :, columns]
