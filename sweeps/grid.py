"""A grid: blocks of axes over architectures and training recipes.

    base:    {train.lmbda: 0.0125}             # every point starts with these
    sets:    {conv_sizes: [{channels: [64, 64, 64]}, {channels: [128, 128, 128]}]}
    blocks:
      - base:    {transform: conv, entropy_model: charm, hyper_transform: conv}
        product: {transform: conv_sizes, entropy_model.num_slices: [5, 10]}
        zip:     {transform.latent_channels: [192, 320], train.seed: [0, 1]}
        exclude: [{transform.latent_channels: 192, entropy_model.num_slices: 10}]
    constraints: {kflops_per_px: {max: 1200}}
    expect:      {jobs: 7}

An axis is a list of values or the name of a set. Its key is a component
(`transform`), one of its fields (`transform.channels`), `architecture`, `train` or
one of its fields. A value of a component is a name, which replaces the component, or a
mapping of fields, which is merged into it. Keys without a dot act first.

`train.teacher: {architecture: evc_l, train.method: plain}` names the run that a run
starts from: the point that has these values in place of its own. It is of the grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdc.errors import ConfigError
from rdc.jobs.plan_row import COST_COLUMNS
from rdc.specs.base import Spec, require, unknown_name

Axes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bounds(Spec):
    """What a counted cost may be; None: no bound."""

    min: float | None = None
    max: float | None = None

    def allow(self, value: float) -> bool:
        return (self.min is None or value >= self.min) and (
            self.max is None or value <= self.max
        )


@dataclass(frozen=True, kw_only=True)
class Expectation(Spec):
    """What the grid must come to; a difference is an error before anything runs."""

    jobs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Block(Spec):
    """One product of axes; zipped axes advance together and count as one axis."""

    base: dict[str, Any] = field(default_factory=dict)
    product: dict[str, Any] = field(default_factory=dict)
    zip: dict[str, Any] = field(default_factory=dict)
    exclude: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid(Spec):
    """The union of its blocks; see the docstring of this file."""

    name: str
    blocks: tuple[Block, ...] = ()
    base: dict[str, Any] = field(default_factory=dict)
    sets: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    constraints: dict[str, Bounds] = field(default_factory=dict)
    expect: Expectation = field(default_factory=Expectation)

    def __post_init__(self) -> None:
        require(bool(self.name), "a grid has a name", repr(self.name))
        for key in self.constraints:
            if key not in COST_COLUMNS:
                raise unknown_name("cost in grid.constraints", key, list(COST_COLUMNS))


@dataclass(frozen=True)
class Assignments:
    """One point of a grid: values under dotted keys, later ones win."""

    block: int
    pairs: tuple[tuple[str, Any], ...]

    def changed(self, values: Mapping[str, Any]) -> Assignments:
        """The point that has these values, and no teacher unless they name one.

        A component takes the place of this one's, with all of its fields.
        """
        replaced = {"train.teacher", *values}
        whole = {key for key in values if "." not in key} - {"train"}
        if "architecture" in whole:
            whole |= {"transform", "entropy_model", "hyper_transform", "encoders"}
        own = [
            (key, value)
            for key, value in self.pairs
            if key not in replaced and key.partition(".")[0] not in whole
        ]
        pairs = sorted([*own, *values.items()], key=_depth)
        return Assignments(self.block, tuple(pairs))

    def __str__(self) -> str:
        pairs = ", ".join(f"{key}={_show(value)}" for key, value in self.pairs)
        return f"block {self.block}: {pairs}"


def expand(grid: Grid) -> Iterator[Assignments]:
    """All points of all blocks in order, before `exclude` and before merging.

    Raises:
      ConfigError: an axis that is empty or no list, or zipped axes of two lengths.
    """
    for index, block in enumerate(grid.blocks):
        where = f"grid.blocks[{index}]"
        zipped = _zipped(block.zip, grid, where)
        axes = [
            [((key, value),) for value in _axis(key, values, grid, where)]
            for key, values in block.product.items()
        ]
        start = (*grid.base.items(), *block.base.items())
        for choice in itertools.product(*axes, zipped):
            pairs = (*start, *itertools.chain.from_iterable(choice))
            yield Assignments(index, tuple(sorted(pairs, key=_depth)))


def _zipped(axes: Axes, grid: Grid, where: str) -> list[tuple[tuple[str, Any], ...]]:
    columns = {k: _axis(k, v, grid, f"{where}.zip") for k, v in axes.items()}
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"zipped axes of {where} have one length", lengths)
    if not columns:
        return [()]
    rows = zip(*columns.values(), strict=True)
    return [tuple(zip(columns, row, strict=True)) for row in rows]


def _axis(key: str, values: Any, grid: Grid, where: str) -> tuple[Any, ...]:
    if isinstance(values, str):
        if values not in grid.sets:
            raise unknown_name(f"set in {where}.{key}", values, sorted(grid.sets))
        values = grid.sets[values]
    if not isinstance(values, tuple) or not values:
        raise ConfigError(
            f"axis {where}.{key} is a list of values or the name of a set",
            _show(values),
            f"write {key}: [{_show(values)}], or move it to base",
        )
    return values


def _depth(pair: tuple[str, Any]) -> tuple[bool, int]:
    key, _ = pair
    return key != "architecture", key.count(".")


def _show(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_show(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_show(v)}" for k, v in value.items()) + "}"
    return str(value)
