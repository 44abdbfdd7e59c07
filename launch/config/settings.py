"""The groups of the configuration, typed, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from launch.config.slices import slice_shape
from launch.executors.child import ChildSettings
from rdc.architectures import NAMED
from rdc.data.image_facts import KnownImages
from rdc.data.image_sets import dataset_name
from rdc.data.manifest import known_images
from rdc.errors import ConfigError
from rdc.registry import REGISTRY, parse_architecture
from rdc.specs.base import Spec, require
from rdc.specs.compiler import CompilerTarget
from rdc.specs.components import ArchitectureSpec
from rdc.specs.timing import BenchmarkSpec
from rdc.system.user_cache import compilation_cache
from sweeps.executor import Resources
from sweeps.lease import WAIT_SECONDS
from sweeps.tasks import Estimated, ImageSet, StageSettings

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


@dataclass(frozen=True, kw_only=True)
class DataSettings(Spec):
    """The group `data`.

    Attributes:
      carry: images go to OUT, a store, once, and to each machine from there.
    """

    train: str
    eval: str
    carry: bool = False

    def absolute(self, role: Literal["train", "eval"]) -> str:
        """A source; relative paths start at the present folder."""
        source = getattr(self, role)
        if source.startswith("bundled:"):
            return source
        return str(Path(source).expanduser().absolute())

    def known(self, role: Literal["train", "eval"]) -> KnownImages:
        """The files of one set.

        Raises:
          DataError: there are no such images.
        """
        return known_images(self.absolute(role))

    def image_set(
        self, role: Literal["train", "eval"], images: KnownImages | None = None
    ) -> ImageSet:
        """One set by content; raises as `known`.

        Args:
          images: its files, where they are known.
        """
        source, images = self.absolute(role), images or self.known(role)
        return ImageSet(source, dataset_name(source), images.data_sha256)


@dataclass(frozen=True, kw_only=True)
class Throughput(Spec):
    """The group `throughput`: how fast a named device trains.

    Attributes:
      training_gflops_per_second: FLOPs of a training step (backward counted as twice
        forward) over its seconds, on one device.
      source: where the figures stand.
      by: `measurement` on the device, or `compiler`: what it expects of one that is not
        at hand.
      by_family: the same of families of architectures, as "elic/charm:swin", whose
        speed is known.
      unit: that hours are counted in, `device` or `chip`.
      devices_per_unit: a TPU v4 chip is two of JAX's devices, each with a training of
        its own.
    """

    name: str
    training_gflops_per_second: float
    source: str
    by: Literal["measurement", "compiler"] = "measurement"
    by_family: Mapping[str, float] = field(default_factory=dict)
    unit: Literal["device", "chip"] = "device"
    devices_per_unit: int = 1

    def __post_init__(self) -> None:
        speed = self.training_gflops_per_second
        require(speed > 0, "throughput.training_gflops_per_second is positive", speed)
        for family, own in self.by_family.items():
            require(own > 0, f"throughput.by_family.{family} is positive", own)
        number = self.devices_per_unit
        require(number >= 1, "throughput.devices_per_unit is at least 1", number)

    def hours(self, flops: float, family: str) -> float:
        """Of a unit, with all of its devices at such work.

        Args:
          flops: of trainings of architectures of one family.
        """
        speed = self.by_family.get(family, self.training_gflops_per_second)
        return flops / (speed * 1e9) / 3600 / self.devices_per_unit


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(BenchmarkSpec):
    """The group `benchmark`.

    Attributes:
      weights: `trained` times all stages of the trained model, `random` the network
        alone, without any training.
      estimates: what a compiler is asked about a device that is not at hand.
    """

    weights: Literal["trained", "random"] = "trained"
    estimates: tuple[Estimated, ...] = ("decoder",)

    def __post_init__(self) -> None:
        super().__post_init__()
        some = len(set(self.estimates)) == len(self.estimates) >= 1
        rule = "benchmark.estimates has decoder, training_step or both"
        require(some, rule, list(self.estimates))

    def check(self, compiler: CompilerTarget | None) -> None:
        """Raises where training steps are asked of a device that is at hand."""
        require(
            compiler is not None or "training_step" not in self.estimates,
            "benchmark.estimates=[training_step] asks a compiler",
            "a device that is at hand",
            "add hardware=tpu_v4, tpu_v5e or tpu_v6e; launch/train.py measures steps",
        )

    @property
    def spec(self) -> BenchmarkSpec:
        """How times are taken."""
        values = self.to_dict()
        del values["weights"], values["estimates"]
        return BenchmarkSpec(**values)


@dataclass(frozen=True, kw_only=True)
class Budget(Spec):
    """The group `budget`.

    Attributes:
      hours: a sweep stops after so long; None: never.
    """

    hours: float | None = None

    def __post_init__(self) -> None:
        hours = self.hours
        require(hours is None or hours > 0, "budget.hours is positive", hours)

    @property
    def seconds(self) -> float | None:
        return None if self.hours is None else self.hours * 3600


@dataclass(frozen=True, kw_only=True)
class LeaseSettings(Spec):
    """The group `lease`.

    Attributes:
      wait_seconds: for the lease of a driver that may be dead to become stale.
    """

    wait_seconds: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        seconds = self.wait_seconds
        require(seconds >= 0, "lease.wait_seconds is not negative", seconds)


@dataclass(frozen=True, kw_only=True)
class Cluster(Spec):
    """The group `cluster`: see `conf/cluster`."""

    address: str | None = None
    autoscales: bool = False
    python: str = "python"
    scratch: str = "/tmp/rdc-scratch"

    def __post_init__(self) -> None:
        absolute = Path(self.scratch).is_absolute()
        require(absolute, "cluster.scratch is an absolute folder", self.scratch)
        require(
            not self.autoscales or self.address is not None,
            "a cluster that autoscales has an address",
            "cluster.autoscales=true alone",
            "add cluster.address=HOST:PORT",
        )


@dataclass(frozen=True, kw_only=True)
class ArchitectureChoice(Spec):
    """A named architecture, and components that take the place of its own."""

    architecture: dict[str, Any] | None = None
    transform: dict[str, Any] | None = None
    entropy_model: dict[str, Any] | None = None
    hyper_transform: dict[str, Any] | None = None

    def chosen(self) -> tuple[ArchitectureSpec, str | None]:
        """The architecture, and its name if nothing was changed.

        Raises:
          ConfigError: none was chosen, or the parts do not fit together.
        """
        named = dict(self.architecture or {})
        name = named.pop("name", None)
        own = {group: getattr(self, group) for group in REGISTRY}
        parts = {group: values for group, values in own.items() if values}
        if not named and not parts:
            raise ConfigError(
                "an architecture is chosen",
                "none",
                f"add architecture=NAME, one of {', '.join(NAMED)}",
            )
        architecture = parse_architecture({**named, **parts})
        return architecture, name if NAMED.get(name) == architecture else None
