"""TPU slices by the names of their kinds, as `v4-16`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rdc.specs.base import require

_CHIPS_PER_HOST = 4
# Of each generation, devices that the number in a name counts per chip, and chips of
# the largest slice that is one host. As Ray has it (2.60, `ray._private.accelerators.
# tpu`, after Google's documentation of Cloud TPU).
_GENERATIONS = {
    "v2": (2, 4),
    "v3": (2, 4),
    "v4": (2, 4),
    "v5p": (2, 4),
    "v5litepod": (1, 8),
    "v6e": (1, 8),
}


@dataclass(frozen=True)
class SliceShape:
    """What a slice is made of.

    Attributes:
      device: the label of its hosts, as `Resources.device` takes it.
    """

    hosts: int
    chips_per_host: int
    device: str


def slice_shape(name: str) -> SliceShape:
    """Of a kind of slice.

    Raises:
      ConfigError: there is no such kind.
    """
    generation, _, number = name.partition("-")
    per_chip, most_alone = _GENERATIONS.get(generation, (0, 0))
    devices = int(number) if re.fullmatch(r"[1-9]\d*", number) else 0
    chips = devices // per_chip if per_chip else 0
    whole = chips and chips * per_chip == devices
    fits = chips <= most_alone or chips % _CHIPS_PER_HOST == 0
    require(
        bool(whole and fits),
        f"a slice is {', '.join(_GENERATIONS)}, a dash, and a number of devices that "
        "fill its hosts, as v4-16",
        repr(name),
    )
    hosts = 1 if chips <= most_alone else chips // _CHIPS_PER_HOST
    return SliceShape(hosts, chips // hosts, f"ray.io/tpu-pod-type={name}")
