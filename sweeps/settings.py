"""What the configuration calls `train`: a recipe and its rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rdc.specs.base import require
from rdc.specs.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Recipe):
    """The group `train`, in configurations, grids and overrides alike.

    Attributes:
      lmbda: the values of lambda, one per rate; a single number may stand for itself.
      teacher: the model that a training starts from: of a training, its folder or
        run_id; in a grid, what its point has other than this one.
    """

    lmbda: tuple[float, ...]
    teacher: str | dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "train") -> Self:
        require("lmbda" in values, f"{where}.lmbda has a value", "none")
        lmbda = values["lmbda"]
        if not isinstance(lmbda, list | tuple):
            lmbda = [lmbda]
        return super().from_dict({**values, "lmbda": lmbda}, where)

    @property
    def recipe(self) -> Recipe:
        """Without rates and teacher, whose weights are the start of what has one."""
        values = self.to_dict()
        del values["lmbda"], values["teacher"]
        if self.teacher is not None:
            values["start"] = "random"
        return Recipe(**values)
