"""How far the output of a network depends on its input: the halo of its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

from flax import nnx

from rdc.layers.convolution import Conv, Gdn, UpConv
from rdc.layers.depthwise import (
    ChunkSum,
    DepthToSpace,
    DepthwiseConv,
    LeakyRelu,
    Residual,
    SharpSilu,
    SpaceToDepth,
)
from rdc.layers.network import Appended, Branches, Network, Relu
from rdc.layers.residual import AttentionBlock, ResidualBlock
from rdc.layers.swin import PatchMerging, PatchSplitting, SwinStage


@dataclass(frozen=True)
class Reach:
    """Of a network on a map whose positions are `step_px` apart.

    Attributes:
      px: no output depends on an input farther away, along each axis; an upper bound.
        Infinite: the map cannot be cut.
      step_px: between positions of the output.
    """

    px: float
    step_px: int

    def then(self, px: float, step_px: int) -> Reach:
        """With a layer after it that reaches so far."""
        return Reach(self.px + px, step_px)


@singledispatch
def reach(layer: nnx.Module, before: Reach) -> Reach:
    """The reach of what ends `before`, and of `layer` after it.

    Raises:
      TypeError: a layer that nobody wrote down here.
    """
    raise TypeError(
        f"no reach of {type(layer).__name__}: add it to rdc/layers/reach.py"
    )


@reach.register
def _(layer: Conv, before: Reach) -> Reach:
    taps = (layer.kernel.shape[0] - 1) // 2
    return before.then(taps * before.step_px, before.step_px * layer.stride)


@reach.register
def _(layer: DepthwiseConv, before: Reach) -> Reach:
    taps = (layer.kernel.shape[0] - 1) // 2
    return before.then(taps * before.step_px, before.step_px)


@reach.register
def _(layer: SpaceToDepth, before: Reach) -> Reach:
    blocks = 2**layer.times
    return before.then((blocks - 1) * before.step_px, blocks * before.step_px)


@reach.register
def _(layer: DepthToSpace, before: Reach) -> Reach:
    step_px = before.step_px // 2**layer.times
    return before.then(before.step_px - step_px, step_px)


@reach.register
def _(layer: UpConv, before: Reach) -> Reach:
    # Output o sees the inputs i with |o - 2 i| <= (k - 1) / 2, in steps of the output.
    step_px = before.step_px // 2
    return before.then((layer.kernel.shape[0] - 1) // 2 * step_px, step_px)


@reach.register(Gdn)
@reach.register(Relu)
@reach.register(LeakyRelu)
@reach.register(SharpSilu)
@reach.register(ChunkSum)
def _(layer: nnx.Module, before: Reach) -> Reach:
    return before


@reach.register
def _(layer: Network, before: Reach) -> Reach:
    for part in layer.layers:
        before = reach(part, before)
    return before


@reach.register
def _(layer: Branches, before: Reach) -> Reach:
    return _longest(*(reach(branch, before) for branch in layer.branches))


@reach.register
def _(layer: Residual, before: Reach) -> Reach:
    return _longest(reach(layer.branch, before), reach(layer.shortcut, before))


@reach.register
def _(layer: Appended, before: Reach) -> Reach:
    return reach(layer.network, before)


@reach.register
def _(layer: ResidualBlock, before: Reach) -> Reach:
    return reach(layer.branch, before)


@reach.register
def _(layer: AttentionBlock, before: Reach) -> Reach:
    return _longest(reach(layer.trunk, before), reach(layer.mask, before))


# Windows begin at the border of the image, and are shifted where there are several:
# what a position sees is bounded, but changes with where a map is cut.
@reach.register
def _(layer: SwinStage, before: Reach) -> Reach:
    return before.then(math.inf, before.step_px)


@reach.register
def _(layer: PatchMerging, before: Reach) -> Reach:
    return before.then(before.step_px, 2 * before.step_px)


@reach.register
def _(layer: PatchSplitting, before: Reach) -> Reach:
    return before.then(before.step_px // 2, before.step_px // 2)


def _longest(*several: Reach) -> Reach:
    (step_px,) = {one.step_px for one in several}
    return Reach(max(one.px for one in several), step_px)
