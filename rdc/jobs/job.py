"""The jobs of a sweep, their identities and their folders. No JAX here.

    OUT/runs/<id[:2]>/<run_id>/            one training
    OUT/evaluations/<id[:2]>/<id>/         one run on one set of images
    OUT/benchmarks/<id[:2]>/<id>/          decode times on one hardware
      spec.json                            the job: what it computes (identity)
      record.json                          the promoted result; only the driver writes
      attempts/<n>/request.json            where and how: paths, threads (no identity)
      attempts/<n>/{log.txt,record.json,progress.json,checkpoint/,model/,...}

One attempt is one process: `python -m rdc.jobs.worker ATTEMPT_DIR` reads `spec.json`
and `request.json` and writes only inside its own attempt folder.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from rdc.errors import ConfigError
from rdc.identity import content_id
from rdc.registry import arch_id, parse_architecture
from rdc.specs.base import Spec, require
from rdc.specs.coding import CodecSpec
from rdc.specs.components import ArchitectureSpec
from rdc.specs.training import BenchmarkSpec, CheckpointSpec, TrainSpec
from rdc.transforms.conv import ConvTransform


@dataclass(frozen=True, kw_only=True)
class Job(abc.ABC):
    """What one process computes; equal jobs have equal ids."""

    stage: ClassVar[str]
    folder_name: ClassVar[str]

    @property
    def job_id(self) -> str:
        return content_id(self.stage, self.identity())

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """Plain data of all that makes this job what it is."""

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The job that `to_dict` gave."""

    def to_dict(self) -> dict[str, Any]:
        """As in `spec.json`."""
        return {"stage": self.stage, **self.identity()}

    def folder(self, out: Path) -> Path:
        return Path(out) / self.folder_name / self.job_id[:2] / self.job_id


@dataclass(frozen=True, kw_only=True)
class TrainJob(Job):
    """Train one architecture; its `job_id` is the `run_id`."""

    stage: ClassVar[str] = "train"
    folder_name: ClassVar[str] = "runs"

    architecture: ArchitectureSpec
    train: TrainSpec
    data_sha256: str  # of the training images

    def __post_init__(self) -> None:
        multiple = self.architecture.padding_multiple_px
        crop_px = self.train.crop_px
        require(
            crop_px % multiple == 0,
            f"train.crop_px is a multiple of the architecture's stride ({multiple})",
            crop_px,
            f"use {max(round(crop_px / multiple), 1) * multiple}",
        )
        require(
            self.train.start == "random"
            or isinstance(self.architecture.transform, ConvTransform),
            "train.start=principal_components needs the conv transform",
            self.architecture.transform.name,
            "use train.start=random",
        )

    @property
    def arch_id(self) -> str:
        return arch_id(self.architecture)

    def identity(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.to_dict(),
            "train": self.train.identity(),
            "data_sha256": self.data_sha256,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            architecture=parse_architecture(values["architecture"]),
            train=TrainSpec.from_dict(values["train"]),
            data_sha256=values["data_sha256"],
        )


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(Job):
    """Real bytes written and decoded again, for every image of a set."""

    stage: ClassVar[str] = "evaluate"
    folder_name: ClassVar[str] = "evaluations"

    run_id: str
    dataset: str  # its name in tables
    data_sha256: str  # of the images
    lmbda: float
    distortion: str = "mse"  # that lmbda weighs; left out of the identity where it is
    codec: CodecSpec = field(default_factory=CodecSpec)  # likewise

    def identity(self) -> dict[str, Any]:
        identity = {
            "run_id": self.run_id,
            "dataset": self.dataset,
            "data_sha256": self.data_sha256,
            "lmbda": self.lmbda,
        }
        if self.distortion != "mse":
            identity["distortion"] = self.distortion
        return identity | _codec_identity(self.codec)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        fields = {k: v for k, v in values.items() if k not in ("stage", "codec")}
        return cls(**fields, codec=_parse_codec(values))


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob(Job):
    """Decode times of one architecture on one hardware.

    With `run_id`, the trained model of that run is timed in all three stages, on a
    real image; without, random weights are timed in the `network` stage alone.
    """

    stage: ClassVar[str] = "benchmark"
    folder_name: ClassVar[str] = "benchmarks"

    architecture: ArchitectureSpec
    hardware_id: str
    benchmark: BenchmarkSpec
    run_id: str | None = None
    codec: CodecSpec = field(default_factory=CodecSpec)

    @property
    def arch_id(self) -> str:
        return arch_id(self.architecture)

    def identity(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.to_dict(),
            "hardware_id": self.hardware_id,
            "benchmark": self.benchmark.to_dict(),
            "run_id": self.run_id,
        } | _codec_identity(self.codec)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            architecture=parse_architecture(values["architecture"]),
            hardware_id=values["hardware_id"],
            benchmark=BenchmarkSpec.from_dict(values["benchmark"]),
            run_id=values["run_id"],
            codec=_parse_codec(values),
        )


def _codec_identity(codec: CodecSpec) -> dict[str, Any]:
    """Nothing at its defaults: jobs of before keep their ids."""
    return {"codec": values} if (values := codec.identity()) else {}


def _parse_codec(values: Mapping[str, Any]) -> CodecSpec:
    return CodecSpec.from_dict(values.get("codec", {}), "codec")


JOB_KINDS: dict[str, type[Job]] = {
    kind.stage: kind for kind in (TrainJob, EvaluateJob, BenchmarkJob)
}


def parse_job(values: Mapping[str, Any]) -> Job:
    """Builds a job from `spec.json`."""
    stage = values.get("stage")
    if stage not in JOB_KINDS:
        raise ConfigError("a job names its stage", repr(stage), f"one of {JOB_KINDS}")
    return JOB_KINDS[stage].from_dict(values)


@dataclass(frozen=True, kw_only=True)
class Request(Spec):
    """Where and how one attempt works; outside identity.

    Attributes:
      images: training or evaluation images: a folder, a `.txt` list of files, or
        `bundled:train` / `bundled:eval`.
      model_dir: exported model to evaluate or to time.
      resume_from: earlier attempt folders, newest last, whose checkpoints may serve.
      accumulate: multiplies `train.accumulate` after the device ran out of memory; the
        result is the same up to rounding. Recorded.
      together: attempt folders of the other rates that the same process trains.
      cpu_threads: CPU cores that this process may use (None: all).
    """

    images: str | None = None
    model_dir: str | None = None
    resume_from: tuple[str, ...] = ()
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    accumulate: int = 1
    together: tuple[str, ...] = ()
    cpu_threads: int | None = None


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Assignment(Generic[J]):
    """What a process is given in one attempt folder."""

    job: J
    request: Request
    folder: Path


STATUSES = (
    "ok",
    "diverged",
    "oom",
    "timeout",
    "failed",
    "preempted",
    "pending",
    "running",
)
RECORD_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Record(Spec):
    """`record.json`: how one attempt, or the job as a whole, ended.

    Attributes:
      status: one of `STATUSES`.
      error: one line for people, with the traceback's fingerprint where there is one.
      attempt: the attempt that this record comes from, from 1.
      result: what the stage computed; see `docs/records.md`.
      environment: versions, git state and hardware of the process.
    """

    stage: str
    job_id: str
    status: str
    attempt: int
    error: str | None = None
    seconds: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    schema_version: int = RECORD_SCHEMA_VERSION
