"""Jobs that ask a compiler about devices that are not at hand. No JAX here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from rdc.jobs.base import Job
from rdc.registry import arch_id, parse_architecture
from rdc.specs.compiler import CompilerTarget
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class EstimateJob(Job):
    """What a compiler expects of the decoder of one architecture on one device, which
    is not at hand. In the place of a `BenchmarkJob`.
    """

    stage: ClassVar[str] = "estimate"
    folder_name: ClassVar[str] = "estimates"

    architecture: ArchitectureSpec
    target: CompilerTarget
    height_px: int
    width_px: int

    @property
    def arch_id(self) -> str:
        return arch_id(self.architecture)

    def identity(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.identity(),
            "target": self.target.identity(),
            "height_px": self.height_px,
            "width_px": self.width_px,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            architecture=parse_architecture(values["architecture"]),
            target=CompilerTarget.from_dict(values["target"], "hardware.compiler"),
            height_px=values["height_px"],
            width_px=values["width_px"],
        )


@dataclass(frozen=True, kw_only=True)
class TrainingEstimateJob(Job):
    """What a compiler expects of one step of a training on one device, which is not at
    hand.

    Attributes:
      num_rates: of the model that would be trained.
    """

    stage: ClassVar[str] = "estimate_training"
    folder_name: ClassVar[str] = "training_estimates"

    architecture: ArchitectureSpec
    recipe: Recipe
    num_rates: int
    target: CompilerTarget

    @classmethod
    def of(cls, model: ModelSpec, target: CompilerTarget) -> Self:
        """One for all models of equal steps: their seeds and data change none."""
        return cls(
            architecture=model.architecture,
            recipe=replace(model.recipe, seed=0),
            num_rates=len(model.rates),
            target=target,
        )

    @property
    def arch_id(self) -> str:
        return arch_id(self.architecture)

    def identity(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.identity(),
            "recipe": self.recipe.identity(),
            "num_rates": self.num_rates,
            "target": self.target.identity(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            architecture=parse_architecture(values["architecture"]),
            recipe=Recipe.from_dict(values["recipe"], "train"),
            num_rates=values["num_rates"],
            target=CompilerTarget.from_dict(values["target"], "hardware.compiler"),
        )
