"""Codecs that are fitted to each image, as a sweep asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from rdc.overfitted.schedule import EFFORT_STEPS
from rdc.overfitted.spec import preset
from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class Overfitting(Spec):
    """Codecs that are fitted to each image of the evaluation set.

    Attributes:
      codecs: names, as `overfitted_1200`.
      lmbdas: a search each.
      effort: how long it lasts, 0 to 3.
    """

    codecs: tuple[str, ...] = ()
    lmbdas: tuple[float, ...] = (0.0125,)
    effort: int = 0

    def __post_init__(self) -> None:
        for name in self.codecs:
            preset(name)
        positive = all(lmbda > 0 for lmbda in self.lmbdas)
        require(positive, "overfitted.lmbdas are positive", self.lmbdas)
        most = len(EFFORT_STEPS) - 1
        known = 0 <= self.effort <= most
        require(known, f"overfitted.effort is 0 to {most}", self.effort)
