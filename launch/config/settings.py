"""The configuration of a sweep, parsed strictly, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launch.executors.child import ChildSettings
from rdc.data.image_sets import data_sha256, dataset_name
from rdc.specs.base import Spec, require
from rdc.system.user_cache import compilation_cache
from sweeps.executor import Resources
from sweeps.tasks import ImageSet, StageSettings

STAGES = ("plan", "complexity", "train", "evaluate", "benchmark", "gather", "report")
_JAX_PLATFORMS = {"auto": None, "cpu": "cpu", "gpu": "cuda"}


@dataclass(frozen=True, kw_only=True)
class StageHardware(Spec):
    """What one process gets; None: see `conf/hardware/auto.yaml`."""

    cpus: int | None = 1
    gpus: float | None = None
    timeout_hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class HardwareSettings(Spec):
    """The group `hardware`."""

    train: StageHardware
    evaluate: StageHardware
    benchmark: StageHardware
    platform: Literal["auto", "cpu", "gpu"] = "auto"

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> HardwareSettings:
        """From the configuration."""
        stages = {
            stage: StageHardware.from_dict(values.get(stage) or {}, f"hardware.{stage}")
            for stage in ("train", "evaluate", "benchmark")
        }
        return cls.from_dict({**values, **stages}, "hardware")

    def stages(self, described: Mapping[str, Any]) -> dict[str, StageSettings]:
        """Settings by stage, on hardware as `rdc.system.hardware.describe` tells."""
        default_gpus = 1.0 if described["platform"] == "gpu" else 0.0
        return {
            stage: StageSettings(
                resources=Resources(
                    cpus=wanted.cpus,
                    gpus=default_gpus if wanted.gpus is None else wanted.gpus,
                ),
                timeout_hours=wanted.timeout_hours,
            )
            for stage, wanted in (
                ("train", self.train),
                ("evaluate", self.evaluate),
                ("benchmark", self.benchmark),
            )
        }

    def child_settings(self) -> ChildSettings:
        """Environment of every process: platform and shared compilation cache."""
        environment = compilation_cache()
        platforms = _JAX_PLATFORMS[self.platform]
        if platforms is not None:
            environment["JAX_PLATFORMS"] = platforms
        return ChildSettings(environment=environment)


@dataclass(frozen=True, kw_only=True)
class DataSettings(Spec):
    """The group `data`."""

    train: str
    eval: str

    def absolute(self, role: Literal["train", "eval"]) -> str:
        """A source; relative paths start at the present folder."""
        source = getattr(self, role)
        if source.startswith("bundled:"):
            return source
        return str(Path(source).expanduser().absolute())

    def image_set(self, role: Literal["train", "eval"]) -> ImageSet:
        """One set by content.

        Raises:
          DataError: there are no such images.
        """
        source = self.absolute(role)
        return ImageSet(source, dataset_name(source), data_sha256(source))


@dataclass(frozen=True, kw_only=True)
class Rates(Spec):
    """The group `rates`: throughput that was measured on a named device.

    Attributes:
      training_gflops_per_second: FLOPs of a training step (backward counted as twice
        forward) over its seconds.
      source: where the measurement stands.
    """

    name: str
    training_gflops_per_second: float
    source: str

    def __post_init__(self) -> None:
        positive(self.training_gflops_per_second, "rates.training_gflops_per_second")

    def device_hours(self, flops: float) -> float:
        """Of training work."""
        return flops / (self.training_gflops_per_second * 1e9) / 3600


def checked_stages(stages: Any) -> tuple[str, ...]:
    """The asked stages, in the order of their work.

    Raises:
      ConfigError: for a name that is no stage.
    """
    require(isinstance(stages, list), "stages is a list", stages, "write stages=[...]")
    for stage in stages:
        require(stage in STAGES, f"a stage is one of {', '.join(STAGES)}", repr(stage))
    return tuple(stage for stage in STAGES if stage in stages)


def positive(value: Any, name: str) -> float:
    """`value` if it is a positive number.

    Raises:
      ConfigError: otherwise.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(number and value > 0, f"{name} is positive", repr(value))
    return float(value)
