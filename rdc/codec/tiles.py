"""Images of every size through programs of a few sizes.

A program is compiled for a canvas. An image lies on the canvas that wastes least: at
its top left, if it fits, with its border told to the program (`rdc.ops.borders`); else
it is cut into tiles that overlap by what the network reaches (`rdc.layers.reach`), and
of each the part is kept that no cut could change. The result is that of a program for
the image's own size: to the bit in integer numerics, up to rounding in floating point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import Any

import numpy as np

Size = tuple[int, int]  # height and width, px

# So many programs per network at most. With photographs of random sizes, 1.4 times as
# many pixels are computed as there are, on average.
CANVASES_PX: tuple[Size, ...] = (
    (64, 64),
    (128, 128),
    (192, 192),
    (256, 256),
    (256, 384),
    (384, 256),
    (384, 512),
    (512, 384),
    (512, 512),
    (512, 768),
    (768, 512),
    (768, 768),
    (768, 1152),
    (1152, 768),
    (1152, 1152),
    (1152, 1536),
    (1536, 1152),
    (1280, 1792),
    (1792, 1280),
    (1344, 1344),
    (1536, 1536),
)
LARGEST_CANVAS_PX = max(math.prod(canvas) for canvas in CANVASES_PX)
_CALL_PX = 64**2  # what one more call costs, in pixels


@dataclass(frozen=True)
class Interval:
    """Of one axis, px of the image: a tile begins at `start`; [first, end) is kept."""

    start: int
    first: int
    end: int


Tile = tuple[Interval, Interval]  # rows, columns


@dataclass(frozen=True)
class Tiling:
    """How an image lies on canvases of one size.

    Attributes:
      image_px: with its padding.
    """

    image_px: Size
    canvas_px: Size
    rows: tuple[Interval, ...]
    columns: tuple[Interval, ...]

    @property
    def tiles(self) -> Iterator[Tile]:
        return product(self.rows, self.columns)

    @property
    def is_whole(self) -> bool:
        """The canvas is the image."""
        return self.image_px == self.canvas_px

    @cached_property
    def border_px(self) -> np.ndarray | None:
        """i32[2], of the image on each canvas; None where it fills them."""
        sides = zip(self.image_px, self.canvas_px, strict=True)
        border = tuple(min(image, canvas) for image, canvas in sides)
        return None if border == self.canvas_px else np.array(border, np.int32)

    def cut(self, values: Any, step_px: int, tile: Tile) -> Any:
        """What a map has on the canvas of a tile, zeros beyond its border.

        Args:
          values: [...,h,w,C], the whole map.
          step_px: between its positions.
        """
        if self.is_whole:
            return values
        lead = values.ndim - 3
        sides = [canvas // step_px for canvas in self.canvas_px]
        part = values[(slice(None),) * lead + _slices(tile, sides, step_px)]
        missing = [n - have for n, have in zip(sides, part.shape[lead:], strict=False)]
        if not any(missing):
            return part
        pads = [(0, 0)] * lead + [(0, n) for n in missing] + [(0, 0)]
        return np.pad(part, pads)

    def joined(self, parts: Iterable[Any], step_px: int) -> np.ndarray:
        """The whole map of what was made of each tile, on the host.

        Args:
          parts: [...,h,w,C], in the order of `tiles`; each is asked for when the one
            before has found its place.
          step_px: between their positions.
        """
        return self.joined_maps(((part,) for part in parts), step_px)[0]

    def joined_maps(
        self, parts: Iterable[Sequence[Any]], step_px: int
    ) -> tuple[np.ndarray, ...]:
        """`joined` of several maps, which are made together."""
        if self.is_whole:
            (maps,) = parts
            return tuple(np.asarray(part) for part in maps)
        wholes: list[np.ndarray] = []
        sides = [side // step_px for side in self.image_px]
        for tile, made in zip(self.tiles, parts, strict=True):
            own = tuple(
                slice((i.first - i.start) // step_px, (i.end - i.start) // step_px)
                for i in tile
            )
            there = tuple(slice(i.first // step_px, i.end // step_px) for i in tile)
            for number, part in enumerate(map(np.asarray, made)):
                if number == len(wholes):
                    shape = (*part.shape[:-3], *sides, part.shape[-1])
                    wholes.append(np.empty(shape, part.dtype))
                lead = (slice(None),) * (part.ndim - 3)
                wholes[number][lead + there] = part[lead + own]
        return tuple(wholes)


@lru_cache(maxsize=256)
def tiling(image_px: Size, reach_px: float, multiple_px: int) -> Tiling:
    """The canvas that wastes least, and the tiles on it.

    Args:
      image_px: multiples of `multiple_px`.
      reach_px: of the network; infinite: of one that sees images whole.
      multiple_px: tiles begin at its multiples, so that strides stay in step.
    """
    whole = math.isinf(reach_px)
    halo_px = LARGEST_CANVAS_PX if whole else -(-int(reach_px) // multiple_px)
    halo_px *= multiple_px
    costs = {}
    for canvas in CANVASES_PX:
        tiles = math.prod(map(_num_tiles, image_px, canvas, (halo_px,) * 2))
        if tiles < math.inf and not any(side % multiple_px for side in canvas):
            costs[canvas] = tiles * (math.prod(canvas) + _CALL_PX)
    if not costs:
        return _tiling(image_px, image_px, 0)
    return _tiling(image_px, min(costs, key=costs.__getitem__), halo_px)


def _tiling(image: Size, canvas: Size, reach: int) -> Tiling:
    rows, columns = map(_intervals, image, canvas, (reach, reach))
    return Tiling(image, canvas, rows, columns)


def _num_tiles(image: int, canvas: int, reach: int) -> float:
    if image <= canvas:
        return 1
    if canvas <= 2 * reach:
        return math.inf
    return math.ceil((image - canvas) / (canvas - 2 * reach)) + 1


def _intervals(image: int, canvas: int, reach: int) -> tuple[Interval, ...]:
    if image <= canvas:
        return (Interval(0, 0, image),)
    count = int(_num_tiles(image, canvas, reach))
    step = canvas - 2 * reach
    starts = [min(i * step, image - canvas) for i in range(count)]
    edges = [0, *(start + reach for start in starts[1:]), image]
    return tuple(
        Interval(start, *kept)
        for start, kept in zip(starts, pairwise(edges), strict=True)
    )


def _slices(tile: Tile, sides: Sequence[int], step_px: int) -> tuple[slice, ...]:
    starts = [interval.start // step_px for interval in tile]
    return tuple(slice(s, s + n) for s, n in zip(starts, sides, strict=True))
