"""Split methods: what stands between a device and the server that answers. No JAX here.

A method at one setting is one spec; `parse_method` reads one from plain data.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rdc.specs.base import Spec, require, unknown_name
from rdc.specs.classical import SETTINGS
from rdc.specs.tasks import OptimizerSpec, TaskRecipe
from rdc.split.network_specs import (
    PlacementSpec,
    ReductionSpec,
    StudentSpec,
    check_stage,
)


class MethodSpec(Spec, abc.ABC):
    """A method at one setting.

    Attributes:
      name: in configurations.
      is_trained: on photographs, before it encodes any.
    """

    name: ClassVar[str]
    is_trained: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name

    @property
    @abc.abstractmethod
    def setting(self) -> str:
        """What is varied to trade bytes for the task, for people."""

    @property
    def described(self) -> str:
        """With its setting, for people; equal ones cost the same."""
        return f"{self.title} {self.setting}"

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **super().to_dict()}

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **super().identity()}


@dataclass(frozen=True, kw_only=True)
class InputMethod(MethodSpec):
    """A codec's stream, and the whole task network on the server.

    Attributes:
      codec: a classical codec, a model that comes with this package, as `light`, or the
        `run_id` of a trained one; in configurations, the folder of that.
      rate: the codec's setting.
    """

    name: ClassVar[str] = "input"
    is_trained: ClassVar[bool] = False
    codec: str
    rate: float

    @property
    def title(self) -> str:
        return self.codec

    @property
    def setting(self) -> str:
        return f"rate={self.rate:g}"


@dataclass(frozen=True, kw_only=True)
class FeatureMethod(MethodSpec):
    """A stage's features as pictures of a classical codec.

    Attributes:
      stage: whose output is coded.
      rate: the codec's setting.
    """

    name: ClassVar[str] = "features"
    is_trained: ClassVar[bool] = False
    codec: str = "jpeg"
    stage: int = 1
    rate: float

    def __post_init__(self) -> None:
        check_stage(self.stage)
        if self.codec not in SETTINGS:
            raise unknown_name("codec of features", self.codec, list(SETTINGS))

    @property
    def title(self) -> str:
        return f"{self.name}_{self.codec}"

    @property
    def setting(self) -> str:
        return f"stage={self.stage},rate={self.rate:g}"


_STUDENT, _REDUCED = StudentSpec(), ReductionSpec()


# As published: Matsubara et al. 2023, for ImageNet; squares are those of
# `RandomResizedCrop`, of 8 % of the area or more.
def _published(epochs: int, batch: int, **optimizer: Any) -> TaskRecipe:
    return TaskRecipe(
        epochs=epochs,
        batch=batch,
        crop_px=224,
        least_crop=0.08**0.5,
        optimizer=OptimizerSpec(**optimizer),
    )


_DISTILLATION = _published(10, 64, tenths_at=(0.5, 0.8))
_FINE_TUNING = _published(10, 128, name="sgd", weight_decay=5e-4, tenths_at=(0.5,))
_FROM_SCRATCH = _published(60, 256, weight_decay=1e-4, decay="cosine")
_PLACEMENT = _published(10, 256, tenths_at=(0.5, 0.8))
_REDUCTION = _published(20, 32, tenths_at=(0.25, 0.5, 0.75))  # its code: a batch of 64


@dataclass(frozen=True, kw_only=True)
class _WithStudent(MethodSpec):
    """Methods of the student's networks."""

    beta: float
    networks: StudentSpec = _STUDENT

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    @property
    def title(self) -> str:
        return (
            self.name if self.networks.hyper_channels is None else f"{self.name}_mshp"
        )

    @property
    def setting(self) -> str:
        return f"beta={self.beta:g}"


@dataclass(frozen=True, kw_only=True)
class StudentMethod(_WithStudent):
    """Entropic Student: distilled without labels, then its server's side fine-tuned.

    Attributes:
      beta: weight of the bits in distillation, where squared errors are summed;
        published .08, .16, .32, .64, 1.28, 2.56 and 5.12.
    """

    name: ClassVar[str] = "student"
    distillation: TaskRecipe = _DISTILLATION
    fine_tuning: TaskRecipe = _FINE_TUNING


@dataclass(frozen=True, kw_only=True)
class EndToEndMethod(_WithStudent):
    """The student's networks and the task network's tail, trained together afresh.

    Attributes:
      beta: weight of a photograph's bits against cross-entropy in nats; published
        1.28e-8 to 3.2768e-6.
    """

    name: ClassVar[str] = "end_to_end"
    recipe: TaskRecipe = _FROM_SCRATCH


@dataclass(frozen=True, kw_only=True)
class PlacementMethod(MethodSpec):
    """The prior directly on a stage's output, the whole teacher fine-tuned.

    Published after stages 1 to 4 and after the pooling.

    Attributes:
      beta: as of `EndToEndMethod`; published 1e-15 to 1e-4, by stage.
    """

    name: ClassVar[str] = "placement"
    beta: float
    networks: PlacementSpec
    recipe: TaskRecipe = _PLACEMENT

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    @property
    def setting(self) -> str:
        return f"stage={self.networks.stage},beta={self.beta:g}"


@dataclass(frozen=True, kw_only=True)
class ReductionMethod(MethodSpec):
    """CR+BQ: few channels of 8 bits, trained by generalised head distillation."""

    name: ClassVar[str] = "reduction"
    networks: ReductionSpec = _REDUCED
    recipe: TaskRecipe = _REDUCTION

    @property
    def setting(self) -> str:
        return f"channels={self.networks.bottleneck_channels}"


TrainedMethod = StudentMethod | EndToEndMethod | PlacementMethod | ReductionMethod
METHODS: dict[str, type[MethodSpec]] = {
    method.name: method
    for method in (
        InputMethod,
        FeatureMethod,
        PlacementMethod,
        StudentMethod,
        EndToEndMethod,
        ReductionMethod,
    )
}


# They learn from photographs without labels, too.
DISTILLED = (StudentMethod, ReductionMethod)


def parse_method(values: Mapping[str, Any], where: str = "method") -> MethodSpec:
    """A method from `{"name": ..., field: value, ...}`.

    Raises:
      ConfigError: for an unknown name, key or value.
    """
    fields = dict(values)
    name = fields.pop("name", None)
    if name not in METHODS:
        raise unknown_name(where, name, list(METHODS))
    return METHODS[name].from_dict(fields, where)


def _check_beta(beta: float) -> None:
    require(beta > 0, "beta is positive", beta)
