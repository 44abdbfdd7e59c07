"""The whole configuration of each command, typed; its keys are those of `conf/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launch.config.hardware import HardwareSettings
from launch.config.settings import (
    ArchitectureChoice,
    BenchmarkSettings,
    Cluster,
    DataSettings,
    LeaseSettings,
    NotifySettings,
    Throughput,
)
from rdc.errors import ConfigError
from rdc.specs.base import Spec, require
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.coding import CodecSettings
from rdc.system.store import is_url
from sweeps.budget import Budget
from sweeps.grid import Grid
from sweeps.overfitting import Overfitting
from sweeps.points import Options
from sweeps.policy import Limits
from sweeps.splitting import Splitting

Stage = Literal[
    "plan", "complexity", "train", "evaluate", "benchmark", "gather", "report"
]


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Spec):
    """`conf/sweep.yaml`, of `launch/sweep.py` and `launch/submit.py`.

    Attributes:
      train: not yet typed, for axes of the grid change it (`sweeps.settings`).
      only: run or architecture ids, or how they begin; empty: all of the grid.
    """

    grid: Grid | None = None
    train: dict[str, Any]
    benchmark: BenchmarkSettings
    data: DataSettings
    hardware: HardwareSettings
    cluster: Cluster
    limits: Limits
    throughput: Throughput | None = None
    out: str | None
    launcher: Literal["ray", "local"]
    stages: tuple[Stage, ...]
    plan_only: bool
    only: tuple[str, ...]
    propose: int | None
    learn_from: tuple[str, ...]
    retry: Literal["failed"] | None
    lease: LeaseSettings
    budget: Budget
    notify: NotifySettings
    codec: CodecSettings
    codecs: tuple[str, ...]
    overfitted: Overfitting
    split: Splitting
    checkpoint: CheckpointSpec
    models_together: int
    objectives: tuple[str, ...]

    def __post_init__(self) -> None:
        number = self.propose
        require(number is None or number >= 1, "propose is at least 1", number)

    def chosen_grid(self) -> Grid:
        """The grid.

        Raises:
          ConfigError: there is none.
        """
        if self.grid is None:
            raise ConfigError("a sweep has a grid", "none", "add +grid=NAME")
        return self.grid

    def chosen_throughput(self, options: Options) -> Throughput:
        """The one that was asked for, or that of the hardware.

        Args:
          options: the plain data of one option of a group.
        """
        if self.throughput is not None:
            return self.throughput
        values = options("throughput", self.hardware.throughput)
        return Throughput.from_dict(values, "throughput")

    def out_place(self) -> str:
        """An absolute folder or a URL; by default a folder named by the grid."""
        out = self.out or str(Path("out") / self.chosen_grid().name)
        return out if is_url(out) else str(absolute(out))


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ArchitectureChoice):
    """`conf/train_run.yaml`, of `launch/train.py`."""

    train: dict[str, Any]
    data: DataSettings
    hardware: HardwareSettings
    limits: Limits
    out: str
    one_model_per_rate: bool
    evaluate: bool
    retry: Literal["failed"] | None
    budget: Budget
    codec: CodecSettings
    checkpoint: CheckpointSpec


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(ArchitectureChoice):
    """`conf/benchmark_run.yaml`, of `launch/benchmark.py`."""

    train: dict[str, Any]
    benchmark: BenchmarkSettings
    hardware: HardwareSettings
    limits: Limits
    out: str


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Spec):
    """`conf/report_run.yaml`, of `launch/report.py`.

    Attributes:
      out: one sweep, or several for a common report.
      into: the folder of that.
      anchor: of BD-rate as a measure; left out, BPG, or what most curves compare with.
      format: a table is printed in place of the terminal's.
    """

    out: str | tuple[str, ...]
    objectives: tuple[str, ...]
    into: str | None = None
    anchor: str | None = None
    format: Literal["text", "csv", "latex", "markdown"] = "text"


@dataclass(frozen=True, kw_only=True)
class CleanConfig(Spec):
    """`conf/clean_run.yaml`, of `launch/clean.py`."""

    out: str
    apply: bool
    keep: int
    keep_finished: int

    @property
    def checkpoints(self) -> CheckpointSpec:
        return CheckpointSpec(keep=self.keep, keep_finished=self.keep_finished)


@dataclass(frozen=True, kw_only=True)
class StatusConfig(Spec):
    """`conf/status_run.yaml`, of `launch/status.py`."""

    out: str
    format: Literal["text", "json"]
    follow: bool


@dataclass(frozen=True, kw_only=True)
class FetchFolder(Spec):
    """Where images go; None: the cache folder of the user."""

    dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataConfig(Spec):
    """`conf/data_run.yaml`, of `launch/data.py`."""

    fetch: Literal["kodak"]
    data: FetchFolder


def absolute(folder: str) -> Path:
    """A folder as the user wrote it; relative ones start at the present folder.

    Raises:
      ConfigError: it is a URL.
    """
    if is_url(folder):
        raise ConfigError(
            "this command works in a folder",
            folder,
            "launch/sweep.py, status.py, report.py and clean.py take s3:// and gs://",
        )
    return Path(folder).expanduser().absolute()
