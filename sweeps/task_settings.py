"""What turns a plan into tasks, beside its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from rdc.jobs.job import (
    BenchmarkJob,
    CodecJob,
    EstimateJob,
    Job,
    OverfitJob,
    SplitJob,
    TeacherJob,
    TrainingEstimateJob,
)
from rdc.specs.base import Spec, require
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.compiler import CompilerTarget
from rdc.specs.timing import BenchmarkSpec
from sweeps.capacity import Resources
from sweeps.overfitting import Overfitting
from sweeps.splitting import Splitting

Estimated = Literal["decoder", "training_step"]
# Jobs that need no accelerator.
ON_CPU = CodecJob | EstimateJob | TrainingEstimateJob


def hardware_of(job: Job) -> str:
    """The setting of hardware that its process gets."""
    if isinstance(job, ON_CPU | OverfitJob):
        return "evaluate"
    return "train" if isinstance(job, TeacherJob | SplitJob) else job.stage


@dataclass(frozen=True)
class ImageSet:
    """A folder or list of images, by its content.

    Attributes:
      manifest: file that tells of each image; None: they count as they are.
      carried: they are in OUT, a store, for machines without them.
      annotations: of photographs of a task, see `rdc.tasks.readers`.
    """

    source: str
    name: str
    data_sha256: str
    manifest: str | None = None
    carried: bool = False
    annotations: str | None = None


@dataclass(frozen=True)
class ImageFile:
    """One image of a set, by its content."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StageSettings(Spec):
    """What the processes of one stage get.

    Attributes:
      timeout_hours: a process that runs for longer is ended; None never is.
    """

    resources: Resources = field(default_factory=Resources)
    timeout_hours: float | None = None

    def __post_init__(self) -> None:
        hours = self.timeout_hours
        require(hours is None or hours > 0, "timeout_hours is positive", hours)


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Spec):
    """What turns a plan into tasks.

    Attributes:
      codecs: classical codecs that the stage evaluate measures beside the models.
      overfitted: and those that are fitted to each of its images, `eval_images`.
      split: methods before task networks, which answer `photographs`,
        or `test_photographs`; `teacher_weights`: in place of the teacher's training.
      versions: of code and packages that every process must have.
      hardware_id: that times are taken on, with `per_stage`.
      devices: several, with what processes get there; empty: that one.
      compiler: in place of times, what it expects of a device that is not at hand.
      estimates: what the compiler is asked.
      teachers: by run_id, folders of models that trainings start from.
      models_together: models equal but for `rates`, at most so many, share a training
        process and its hardware.
    """

    stages: tuple[str, ...]
    train_set: ImageSet
    eval_set: ImageSet
    hardware_id: str
    benchmark: BenchmarkSpec
    devices: Mapping[str, StageSettings] = field(default_factory=dict)
    compiler: CompilerTarget | None = None
    estimates: tuple[Estimated, ...] = ("decoder",)
    codec: CodecSettings = field(default_factory=CodecSettings)
    codecs: tuple[str, ...] = ()
    overfitted: Overfitting = field(default_factory=Overfitting)
    eval_images: tuple[ImageFile, ...] = ()
    split: Splitting = field(default_factory=Splitting)
    photographs: ImageSet | None = None
    test_photographs: ImageSet | None = None
    teacher_weights: ImageFile | None = None
    weights: Literal["trained", "random"] = "trained"
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    versions: Mapping[str, str] = field(default_factory=dict)
    teachers: Mapping[str, str] = field(default_factory=dict)
    models_together: int = 1
    per_stage: Mapping[str, StageSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number = self.models_together
        require(number >= 1, "models_together is at least 1", number)
        for name in self.codecs:
            ClassicalSpec(name=name)

    def of(self, job: Job) -> StageSettings:
        """What its processes get. Other codecs are evaluated as models are; classical
        ones and estimates are made on the CPU.
        """
        if isinstance(job, BenchmarkJob) and job.hardware_id in self.devices:
            return self.devices[job.hardware_id]
        stage = self.per_stage.get(hardware_of(job), StageSettings())
        if not isinstance(job, ON_CPU):
            return stage
        device = stage.resources.device or ""
        label = device if "=" in device else None  # and no accelerator
        plain = replace(stage.resources, gpus=0.0, device=label)
        return replace(stage, resources=plain)
