"""The jobs of a sweep and their identities. No JAX here.

One attempt is one process: `python -m rdc.jobs.worker ATTEMPT_DIR` reads `spec.json`
and `request.json` and writes only inside its own attempt folder (`rdc.jobs.layout`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from rdc.errors import ConfigError
from rdc.identity import NUMERICS_VERSION
from rdc.jobs.base import Job
from rdc.jobs.estimates import EstimateJob, TrainingEstimateJob
from rdc.jobs.splits import SplitJob, TeacherJob
from rdc.overfitted.identity import codec_id
from rdc.overfitted.spec import OverfittedSpec
from rdc.registry import arch_id, parse_architecture
from rdc.specs.base import Spec, require
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec


@dataclass(frozen=True, kw_only=True)
class TrainJob(Job):
    """Train one model; its `job_id` is the `run_id`."""

    stage: ClassVar[str] = "train"
    folder_name: ClassVar[str] = "runs"
    resumes: ClassVar[bool] = True

    model: ModelSpec

    @property
    def job_id(self) -> str:
        return self.model.run_id

    @property
    def arch_id(self) -> str:
        return arch_id(self.model.architecture)

    def identity(self) -> dict[str, Any]:
        return self.model.identity()

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "numerics_version": NUMERICS_VERSION,
            "model": self.model.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        _check_numerics(values)
        return cls(model=parse_model(values["model"]))


def _check_numerics(values: Mapping[str, Any]) -> None:
    require(
        values["numerics_version"] == NUMERICS_VERSION,
        f"networks are of numerics version {NUMERICS_VERSION}",
        values["numerics_version"],
        "results of another one do not compare: use a new out=DIR",
    )


def parse_model(values: Mapping[str, Any]) -> ModelSpec:
    """A model from plain data, as in `spec.json`.

    Raises:
      ConfigError: an impossible or incomplete model.
    """
    architecture = parse_architecture(values["architecture"])
    recipe = Recipe.from_dict(values["recipe"], "train")
    return ModelSpec.from_dict(
        {**values, "architecture": architecture, "recipe": recipe}, "model"
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(Job):
    """A trained model on a set of images: real bytes, at all of its rates."""

    stage: ClassVar[str] = "evaluate"
    folder_name: ClassVar[str] = "evaluations"

    run_id: str
    dataset: str  # its name in tables
    data_sha256: str  # of the images
    codec: CodecSettings = field(default_factory=CodecSettings)

    def identity(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "dataset": self.dataset,
            "data_sha256": self.data_sha256,
            "codec": self.codec.identity(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            run_id=values["run_id"],
            dataset=values["dataset"],
            data_sha256=values["data_sha256"],
            codec=CodecSettings.from_dict(values["codec"], "codec"),
        )


@dataclass(frozen=True, kw_only=True)
class CodecJob(Job):
    """A classical codec on a set of images, at all of its settings."""

    stage: ClassVar[str] = "codec"
    folder_name: ClassVar[str] = "codecs"

    codec: ClassicalSpec
    dataset: str
    data_sha256: str

    def identity(self) -> dict[str, Any]:
        return {
            "codec": self.codec.identity(),
            "dataset": self.dataset,
            "data_sha256": self.data_sha256,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            codec=ClassicalSpec.from_dict(values["codec"], "codec"),
            dataset=values["dataset"],
            data_sha256=values["data_sha256"],
        )


@dataclass(frozen=True, kw_only=True)
class OverfitJob(Job):
    """A codec overfitted to one image, at one lambda.

    Attributes:
      codec: sizes of its decoder, with this lambda as the only one.
      name: of the codec.
      image, image_sha256: its name in the set, and its content.
    """

    stage: ClassVar[str] = "overfit"
    folder_name: ClassVar[str] = "overfitted"
    resumes: ClassVar[bool] = True

    codec: OverfittedSpec
    name: str
    effort: int
    dataset: str
    image: str
    image_sha256: str

    @property
    def lmbda(self) -> float:
        return self.codec.lmbdas[0]

    def identity(self) -> dict[str, Any]:
        return {
            "codec": self.codec.identity(),
            "codec_id": codec_id(self.codec),
            "name": self.name,
            "effort": self.effort,
            "dataset": self.dataset,
            "image": self.image,
            "image_sha256": self.image_sha256,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        names = ("name", "effort", "dataset", "image", "image_sha256")
        job = cls(
            codec=OverfittedSpec.from_dict(values["codec"], "overfitted"),
            **{name: values[name] for name in names},
        )
        require(
            codec_id(job.codec) == values["codec_id"],
            f"{job.name} is codec {codec_id(job.codec)}",
            values["codec_id"],
            "it is of another version of this program: use a new out=DIR",
        )
        return job


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob(Job):
    """Decode times of one architecture on one hardware.

    With `run_id`, the trained model of that run is timed in all three stages; without,
    random weights are timed in the `network` stage alone.
    """

    stage: ClassVar[str] = "benchmark"
    folder_name: ClassVar[str] = "benchmarks"

    architecture: ArchitectureSpec
    hardware_id: str
    benchmark: BenchmarkSpec
    run_id: str | None = None
    codec: CodecSettings = field(default_factory=CodecSettings)

    @property
    def arch_id(self) -> str:
        return arch_id(self.architecture)

    def identity(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.identity(),
            "hardware_id": self.hardware_id,
            "benchmark": self.benchmark.identity(),
            "run_id": self.run_id,
            "codec": self.codec.identity(),
            "numerics_version": NUMERICS_VERSION,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        _check_numerics(values)
        return cls(
            architecture=parse_architecture(values["architecture"]),
            hardware_id=values["hardware_id"],
            benchmark=BenchmarkSpec.from_dict(values["benchmark"], "benchmark"),
            run_id=values["run_id"],
            codec=CodecSettings.from_dict(values["codec"], "codec"),
        )


JOB_KINDS: dict[str, type[Job]] = {
    kind.stage: kind
    for kind in (
        TrainJob,
        EvaluateJob,
        CodecJob,
        OverfitJob,
        TeacherJob,
        SplitJob,
        BenchmarkJob,
        EstimateJob,
        TrainingEstimateJob,
    )
}


def parse_job(values: Mapping[str, Any]) -> Job:
    """Builds a job from `spec.json`.

    Raises:
      ConfigError: no known stage, or fields of another version.
    """
    stage = values.get("stage")
    if stage not in JOB_KINDS:
        known = f"one of {', '.join(JOB_KINDS)}"
        raise ConfigError("a job names its stage", repr(stage), known)
    try:
        return JOB_KINDS[stage].from_dict(values)
    except KeyError as error:
        raise ConfigError(
            f"the spec of a {stage} job is complete",
            f"no {error}",
            "it is of another version of this program: use a new out=DIR",
        ) from None


@dataclass(frozen=True, kw_only=True)
class Request(Spec):
    """Where and how one attempt works; outside identity.

    Attributes:
      images: training or evaluation images: a folder, a `.txt` list of files, or
        `bundled:train` / `bundled:eval`. To overfit: one file.
      manifest: file that tells what these images were when they were planned
        (`rdc.data.manifest`); None: they count as they are.
      carried: these images are in OUT, a store, and come from there.
      model_dir: exported model to evaluate, to time, or to start a training from; a
        teacher's folder for a split method, a file of weights for a teacher.
      photographs: of a task, a folder.
      annotations: of these, see `rdc.tasks.readers`.
      test_photographs: those that are answered, where others are learned.
      test_annotations: of these.
      codec_dir: exported model of a codec whose streams a split method sends; or a
        student whose encoder it takes.
      resume_from: earlier attempt folders, newest last, whose checkpoints may serve.
      accumulate: multiplies `train.accumulate` after the device ran out of memory; the
        result is the same up to rounding. Recorded.
      memory_factor: the process was given so many times the host memory that was asked
        for, after it ran out. Recorded.
      together: attempt folders of the other models that the same process trains.
      cpu_threads: CPU cores that this process may use (None: all).
      gpus: what it was given of GPUs.
      versions: of code and packages that it must have (`rdc.jobs.node_check`).
    """

    images: str | None = None
    manifest: str | None = None
    carried: bool = False
    model_dir: str | None = None
    photographs: str | None = None
    annotations: str | None = None
    test_photographs: str | None = None
    test_annotations: str | None = None
    codec_dir: str | None = None
    resume_from: tuple[str, ...] = ()
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    accumulate: int = 1
    memory_factor: int = 1
    together: tuple[str, ...] = ()
    cpu_threads: int | None = None
    gpus: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Assignment(Generic[J]):
    """What a process is given in one attempt folder."""

    job: J
    request: Request
    folder: Path
