"""The groups of the configuration, typed, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
from sweeps.lease import WAIT_SECONDS
from sweeps.task_settings import Estimated, ImageSet


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
class NotifySettings(Spec):
    """The group `notify`.

    Attributes:
      webhook: URL that is told of end, pause and halted stages; None: nobody is. It may
        hold a secret: no file, log or message has it.
    """

    webhook: str | None = None

    def __post_init__(self) -> None:
        scheme, _, rest = (self.webhook or "https://.").partition("://")
        require(
            scheme in ("http", "https") and bool(rest),
            "notify.webhook is a URL with http or https",
            "another" if rest else "none",
        )


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
