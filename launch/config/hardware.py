"""The group `hardware`, typed: what processes of each stage get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from launch.config.slices import slice_shape
from launch.executors.child import ChildSettings
from rdc.specs.base import Spec, require
from rdc.specs.compiler import CompilerTarget
from rdc.system.user_cache import compilation_cache
from sweeps.capacity import Resources
from sweeps.task_settings import StageSettings

_JAX_PLATFORMS = {"auto": None, "cpu": "cpu", "gpu": "cuda,cpu"}


@dataclass(frozen=True, kw_only=True)
class StageHardware(Spec):
    """What one process gets; None: see `conf/hardware/auto.yaml`."""

    cpus: int | None = 1
    gpus: float | None = None
    memory_gb: float | None = None
    device: str | None = None
    custom: Mapping[str, float] | None = None
    timeout_hours: float | None = None

    def __post_init__(self) -> None:
        self.settings(default_gpus=0.0)  # its rules hold for any hardware

    def settings(
        self,
        default_gpus: float,
        exclusive: bool = False,
        device: str | None = None,
    ) -> StageSettings:
        """Settings of a stage, which may want a whole machine for itself.

        Args:
          device: in place of its own.
        """
        resources = Resources(
            cpus=self.cpus,
            gpus=default_gpus if self.gpus is None else self.gpus,
            memory_gb=self.memory_gb,
            device=self.device if device is None else device,
            custom=tuple(sorted((self.custom or {}).items())),
            exclusive=exclusive and self.cpus is None,
        )
        return StageSettings(resources=resources, timeout_hours=self.timeout_hours)


@dataclass(frozen=True, kw_only=True)
class TrainHardware(StageHardware):
    """What one training gets.

    Attributes:
      hosts: machines that share it, each with all of the above.
      slice: they are the hosts of one such TPU slice, as `v4-16`, with all its chips.
    """

    hosts: int = 1
    slice: str | None = None

    def settings(
        self,
        default_gpus: float,
        exclusive: bool = False,
        device: str | None = None,
    ) -> StageSettings:
        if self.slice is None:
            settings = super().settings(default_gpus, exclusive, device)
            several = replace(settings.resources, hosts=self.hosts)
            return replace(settings, resources=several)
        asked = {"hosts": self.hosts > 1, "device": self.device, "gpus": self.gpus}
        own = [name for name, value in asked.items() if value]
        require(
            not own,
            "the hosts and devices of a TPU slice follow from hardware.train.slice",
            f"{', '.join(own)} beside it",
            "leave them at their defaults",
        )
        shape = slice_shape(self.slice)
        settings = super().settings(0.0, exclusive, shape.device)
        resources = replace(
            settings.resources,
            hosts=shape.hosts,
            custom=(*settings.resources.custom, ("TPU", float(shape.chips_per_host))),
            tpu_slice=self.slice,
        )
        return replace(settings, resources=resources)


@dataclass(frozen=True, kw_only=True)
class BenchmarkHardware(StageHardware):
    """What one process that takes times gets.

    Attributes:
      devices: as `device`: times are taken on each of them.
    """

    devices: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            not (self.devices and self.device),
            "hardware.benchmark has a device or devices",
            f"{self.device} and {self.devices}",
        )
        devices = self.devices or ()
        different = len(set(devices)) == len(devices)
        rule = "hardware.benchmark.devices are different"
        require(different, rule, ", ".join(devices))
        for device in devices:
            self.settings(default_gpus=0.0, device=device)


@dataclass(frozen=True, kw_only=True)
class HardwareSettings(Spec):
    """The group `hardware`.

    Attributes:
      compiler: in place of times, what it expects of a device that is not at hand.
      throughput: option of that group whose device-hours a plan tells.
    """

    throughput: str
    train: TrainHardware
    evaluate: StageHardware
    benchmark: BenchmarkHardware
    platform: Literal["auto", "cpu", "gpu"] = "auto"
    compiler: CompilerTarget | None = None

    def stages(self, described: Mapping[str, Any]) -> dict[str, StageSettings]:
        """Settings by stage, on hardware as `rdc.system.hardware.describe` tells."""
        gpus = _gpus(described)
        return {
            "train": self.train.settings(gpus),
            "evaluate": self.evaluate.settings(gpus),
            "benchmark": self.benchmark.settings(gpus, exclusive=True),
        }

    def timed(
        self, described: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, StageSettings]:
        """Settings of the stage benchmark by `hardware_id`.

        Args:
          described: of each of its devices, as `rdc.system.hardware.describe` tells.

        Raises:
          ConfigError: two of them are the same hardware.
        """
        found: dict[str, tuple[str, StageSettings]] = {}
        for device, hardware in described.items():
            own = self.benchmark.settings(_gpus(hardware), True, device)
            name, _ = found.setdefault(hardware["hardware_id"], (device, own))
            require(
                name == device,
                "hardware.benchmark.devices are different hardware",
                f"{name} and {device}, both {hardware.get('device_kind')}",
                "leave one of them out",
            )
        return {hardware_id: settings for hardware_id, (_, settings) in found.items()}

    def child_settings(self, code: Path | None = None) -> ChildSettings:
        """Environment of every process: platform and shared compilation cache.

        Args:
          code: a copy that they run from.
        """
        environment = compilation_cache()
        platforms = _JAX_PLATFORMS[self.platform]
        if platforms is not None:
            environment["JAX_PLATFORMS"] = platforms
        return ChildSettings(environment=environment, code=code)


def _gpus(described: Mapping[str, Any]) -> float:
    """Of a process that does not say how many."""
    return 1.0 if described["platform"] == "gpu" else 0.0
