"""Which channels of a wide model belong together, and where a narrow one has fewer.

Two models of one family are walked through side by side. Where a layer of the narrow
one makes fewer channels, its channels form a group: a mask over the group silences
them where they are made, and they are read nowhere else than by the layers noted here.

    made    rows of a kernel and its bias: multiplied by the mask, and cut
    read    columns of the next kernel, and what else has the channels: cut

A group is silenced before the activation behind it, which keeps zero zero (leaky ReLU,
GELU, GDN do). So a channel whose mask is zero can be cut, and what is left computes the
same. A depthwise convolution has a bias of its own behind the activation: there, the
group is silenced at the depthwise convolution instead.

LayerNorm is over all channels: while some are silent, it counts the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
from flax import nnx

from rdc.errors import ConfigError
from rdc.layers import (
    AttentionBlock,
    Conv,
    DepthToSpace,
    Gdn,
    LeakyRelu,
    Network,
    PatchMerging,
    PatchSplitting,
    Relu,
    Residual,
    ResidualBlock,
    SpaceToDepth,
    UpConv,
)
from rdc.layers.depthwise import ChunkSum, DepthwiseConv, SharpSilu
from rdc.layers.swin import Dense, LayerNorm, SwinBlock
from rdc.model import CompressionModel

Path = tuple[Any, ...]


@dataclass(eq=False)
class Group:
    """Channels of which the narrow model keeps some.

    Attributes:
      size, kept: of the wide and of the narrow model.
      label: where they are made first.
    """

    size: int
    kept: int
    label: str
    _same: Group | None = None

    @property
    def root(self) -> Group:
        return self if self._same is None else self._same.root

    def join(self, other: Group) -> None:
        """Channels that are added live and die together."""
        if self.root is not other.root:
            other.root._same = self.root


@dataclass(eq=False)
class Flow:
    """The channels of a feature map: index (tile, member of the group, inner).

    Attributes:
      group: None: both models have all of them.
      makers: uses at the layer that makes the map, where nothing else does.
    """

    group: Group | None
    tiles: int = 1
    inner: int = 1
    makers: list[Use] = field(default_factory=list)

    def mask(self, values: Any) -> Any:
        """Values of the group, f[size], for every channel of the map."""
        xp: Any = np if isinstance(values, np.ndarray) else _jnp()
        return xp.tile(xp.repeat(values, self.inner), self.tiles)


@dataclass(eq=False)
class Use:
    """Channels of a map along one axis of an array of weights.

    Attributes:
      made: they are multiplied by the mask.
    """

    path: Path
    axis: int
    flow: Flow
    made: bool


@dataclass
class Widths:
    """What a wide model has more than a narrow one.

    Attributes:
      groups: those that the narrow model has fewer channels of.
      norms: paths of LayerNorms over channels of a group.
    """

    groups: list[Group]
    uses: list[Use]
    norms: list[tuple[Path, Flow]]


def compare(wide: CompressionModel, narrow: CompressionModel) -> Widths:
    """Walks through the transforms of two models.

    Raises:
      ConfigError: they differ in more than the widths of their transforms, or the
        narrow one is not narrower.
    """
    _check_rest(wide, narrow)
    paths = {id(node): path for path, node in nnx.iter_graph(wide)}
    walk = _Walk(paths)
    for name in ("analysis_transform", "synthesis_transform"):
        _walk(getattr(wide, name), getattr(narrow, name), Flow(None), walk)
    uses = [use for use in walk.uses if use.flow.group is not None]
    groups = list(dict.fromkeys(_group_of(use.flow) for use in uses))
    if not groups:
        raise ConfigError(
            "a teacher is wider than its student",
            f"{wide.spec.family} of the same widths",
            "train it with train.method=plain: its weights fit as they are",
        )
    norms = [(path, flow) for path, flow in walk.norms if flow.group is not None]
    return Widths(groups, uses, norms)


def _group_of(flow: Flow) -> Group:
    assert flow.group is not None
    return flow.group.root


def _check_rest(wide: CompressionModel, narrow: CompressionModel) -> None:
    for kind in ("entropy_model", "hyper_transform"):
        ours, theirs = getattr(narrow.spec, kind), getattr(wide.spec, kind)
        if ours != theirs:
            raise ConfigError(
                f"teacher and student have the same {kind}",
                f"{_shown(theirs)} and {_shown(ours)}",
                "only widths of transforms are decayed",
            )
    if type(narrow.spec.transform) is not type(wide.spec.transform):
        raise ConfigError(
            "teacher and student are of one transform",
            f"{wide.spec.transform.name} and {narrow.spec.transform.name}",
        )


def _shown(spec: Any) -> Any:
    return None if spec is None else spec.to_dict()


class _Walk:
    """What was found on the way."""

    def __init__(self, paths: dict[int, Path]):
        self._paths = paths
        self.uses: list[Use] = []
        self.norms: list[tuple[Path, Flow]] = []

    def path(self, node: Any) -> Path:
        return self._paths[id(node)]

    def use(self, array: Any, axis: int, flow: Flow, made: bool) -> Use:
        use = Use(self.path(array), axis, flow, made)
        self.uses.append(use)
        return use

    def made(self, wide: Any, narrow: Any, axis: int) -> Flow:
        """Channels that a layer with kernel and bias makes, along `axis` of it."""
        size, kept = wide.kernel.shape[axis], narrow.kernel.shape[axis]
        label = ".".join(map(str, self.path(wide)))
        if kept > size:
            raise ConfigError(
                "a teacher is nowhere narrower than its student",
                f"{size} against {kept} channels of {label}",
            )
        flow = Flow(None if kept == size else Group(size, kept, label))
        flow.makers = [
            self.use(wide.kernel, axis, flow, True),
            self.use(wide.bias, 0, flow, True),
        ]
        return flow


@singledispatch
def _walk(wide: Any, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    """The channels behind a layer that sees those of `flow`."""
    raise TypeError(
        f"no widths of {type(wide).__name__}: add it to rdc/training/widths.py"
    )


@_walk.register
def _(wide: Network, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    if [type(x) for x in wide.layers] != [type(x) for x in narrow.layers]:
        raise ConfigError(
            "teacher and student have the same layers, of other widths",
            f"{len(wide.layers)} and {len(narrow.layers)} at "
            f"{'.'.join(map(str, walk.path(wide)))}",
        )
    for ours, theirs in zip(wide.layers, narrow.layers, strict=True):
        flow = _walk(ours, theirs, flow, walk)
    return flow


@_walk.register(Conv)
@_walk.register(UpConv)
def _(wide: Any, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    if wide.kernel.shape[:2] != narrow.kernel.shape[:2]:
        raise ConfigError(
            "teacher and student have kernels of the same sides",
            f"{wide.kernel.shape[:2]} and {narrow.kernel.shape[:2]}",
        )
    walk.use(wide.kernel, 2, flow, False)
    return walk.made(wide, narrow, 3)


@_walk.register
def _(wide: Dense, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    walk.use(wide.kernel, 0, flow, False)
    return walk.made(wide, narrow, 1)


@_walk.register
def _(wide: DepthwiseConv, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    for use in flow.makers:
        use.made = False
    flow.makers = [
        walk.use(wide.kernel, 3, flow, True),
        walk.use(wide.bias, 0, flow, True),
    ]
    return flow


@_walk.register
def _(wide: Gdn, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    walk.use(wide.beta, 0, flow, False)
    walk.use(wide.gamma, 0, flow, False)
    walk.use(wide.gamma, 1, flow, False)
    return Flow(flow.group, flow.tiles, flow.inner)


@_walk.register(Relu)
@_walk.register(LeakyRelu)
@_walk.register(SharpSilu)
def _(wide: Any, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    return flow


@_walk.register
def _(wide: ChunkSum, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    return _folded(flow, 4)


@_walk.register
def _(wide: DepthToSpace, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    return _folded(flow, 4**wide.times)


def _folded(flow: Flow, tiles: int) -> Flow:
    """Behind a layer that makes one channel of so many, tile by tile."""
    if flow.group is not None:
        group = flow.group.root
        group.size, group.kept = group.size // tiles, group.kept // tiles
        flow.tiles = tiles
    return Flow(flow.group)


@_walk.register
def _(wide: SpaceToDepth, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    return Flow(flow.group, flow.tiles * 4**wide.times, flow.inner)


@_walk.register(Residual)
def _(wide: Any, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    around = _walk(wide.shortcut, narrow.shortcut, flow, walk)
    return _added(around, _walk(wide.branch, narrow.branch, flow, walk))


@_walk.register
def _(wide: ResidualBlock, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    return _added(flow, _walk(wide.branch, narrow.branch, flow, walk))


@_walk.register
def _(wide: AttentionBlock, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    for ours, theirs in ((wide.trunk, narrow.trunk), (wide.mask, narrow.mask)):
        _added(flow, _walk(ours, theirs, flow, walk))
    return Flow(flow.group, flow.tiles, flow.inner)


def _added(flow: Flow, other: Flow) -> Flow:
    """Of two maps that are added, or multiplied."""
    if flow.group is not None and other.group is not None:
        flow.group.root.join(other.group)
    return Flow(flow.group, flow.tiles, flow.inner)


@_walk.register
def _(wide: LayerNorm, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    walk.use(wide.gain, 0, flow, True)
    walk.use(wide.offset, 0, flow, True)
    walk.norms.append((walk.path(wide), flow))
    return Flow(flow.group, flow.tiles, flow.inner)


@_walk.register
def _(wide: SwinBlock, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    ours, theirs = wide.attention, narrow.attention
    if (ours.head_dim, ours.window) != (theirs.head_dim, theirs.window):
        raise ConfigError(
            "teacher and student have windows and heads of the same size",
            f"{(ours.window, ours.head_dim)} and {(theirs.window, theirs.head_dim)}",
        )
    seen = _walk(wide.attention_norm, narrow.attention_norm, flow, walk)
    made = _walk(ours.qkv, theirs.qkv, seen, walk)
    made.tiles, made.inner = 3, ours.head_dim
    if made.group is not None:  # heads live and die as a whole
        per_head = 3 * ours.head_dim
        group = made.group
        group.size, group.kept = group.size // per_head, group.kept // per_head
    walk.use(ours.position_bias, 1, Flow(made.group), False)
    heads = Flow(made.group, inner=ours.head_dim)
    _added(flow, _walk(ours.projection, theirs.projection, heads, walk))
    seen = _walk(wide.mlp_norm, narrow.mlp_norm, flow, walk)
    hidden = _walk(wide.mlp_in, narrow.mlp_in, seen, walk)
    return _added(flow, _walk(wide.mlp_out, narrow.mlp_out, hidden, walk))


@_walk.register
def _(wide: PatchMerging, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    blocks = Flow(flow.group, 4 * flow.tiles, flow.inner)
    return _walk(
        wide.dense, narrow.dense, _walk(wide.norm, narrow.norm, blocks, walk), walk
    )


@_walk.register
def _(wide: PatchSplitting, narrow: Any, flow: Flow, walk: _Walk) -> Flow:
    made = _walk(
        wide.dense, narrow.dense, _walk(wide.norm, narrow.norm, flow, walk), walk
    )
    return _folded(made, 4)


def _jnp() -> Any:
    import jax.numpy as jnp

    return jnp
