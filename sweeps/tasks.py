"""The jobs of a plan in the order of their dependencies, with all they need to run.

train -> evaluate -> benchmark      weights: trained
train -> train                      of a teacher and its student
benchmark, train -> evaluate        weights: random (the architecture is enough)

Classical codecs are measured in the stage evaluate, once per set of images; so are
overfitted ones, image by image.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rdc.jobs.job import (
    BenchmarkJob,
    CodecJob,
    EstimateJob,
    EvaluateJob,
    Job,
    OverfitJob,
    Request,
    TrainingEstimateJob,
)
from rdc.overfitted.spec import preset
from rdc.specs.base import Spec, require
from rdc.specs.checkpoint import CheckpointSpec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.compiler import CompilerTarget
from rdc.specs.timing import BenchmarkSpec
from sweeps.capacity import Resources
from sweeps.overfitting import Overfitting
from sweeps.plan import Plan, Run

Estimated = Literal["decoder", "training_step"]
# Jobs that need no accelerator.
ON_CPU = CodecJob | EstimateJob | TrainingEstimateJob


@dataclass(frozen=True)
class ImageSet:
    """A folder or list of images, by its content.

    Attributes:
      manifest: file that tells of each image; None: they count as they are.
      carried: they are in OUT, a store, for machines without them.
    """

    source: str
    name: str
    data_sha256: str
    manifest: str | None = None
    carried: bool = False


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


@dataclass(frozen=True)
class Task:
    """One job with what the driver needs to schedule it.

    Attributes:
      parent: job_id of the training whose model this job reads, or None.
      priority: smaller starts first; equal ones as they come.
      request: the part that no state changes.
      label: for people.
      together: trainings with the same text here may share a process; None: never.
      family: of its architecture; empty: of none.
      flops: of a training, where its cost was counted.
    """

    job: Job
    job_id: str
    label: str
    parent: str | None
    priority: tuple[float, float]
    request: Request
    resources: Resources
    timeout_seconds: float | None
    together: str | None = None
    family: str = ""
    flops: float | None = None

    @property
    def setting(self) -> str:
        """Where its resources are asked for."""
        evaluated = isinstance(self.job, ON_CPU | OverfitJob)
        return f"hardware.{'evaluate' if evaluated else self.job.stage}"

    def wanted(self, memory_factor: int) -> Resources:
        """What a process takes that is given so many times the memory."""
        if memory_factor == 1:
            return self.resources
        return replace(self.resources, memory_factor=memory_factor)


@dataclass(frozen=True)
class _Work:
    """One job before it is given resources."""

    job: Job
    job_id: str
    label: str
    images: ImageSet | None = None
    parent: str | None = None
    together: str | None = None
    run: Run | None = None
    model_dir: str | None = None


def make_tasks(plan: Plan, settings: TaskSettings) -> list[Task]:
    """All tasks of the asked stages; jobs that several runs share come once.

    Trainings start with a cheap pilot of each family, which tells soon what is wrong
    with it, and then the longest first, so that none is left for the end; in the order
    of the plan where nothing was counted.
    """
    order = ["train", "evaluate", "codec", "overfit", "estimate", "estimate_training"]
    order.insert(4 if settings.weights == "trained" else 0, "benchmark")
    flops = _training_flops(plan.runs)
    first = _starting_order(plan.runs, flops, order.index("train"))
    tasks: dict[str, Task] = {}
    for work in _work(plan.runs, settings):
        stage = _stage_settings(work.job, settings)
        hours = stage.timeout_hours
        run = work.run
        tasks.setdefault(
            work.job_id,
            Task(
                job=work.job,
                job_id=work.job_id,
                label=work.label,
                parent=work.parent,
                priority=first.get(
                    work.job_id, (float(order.index(work.job.stage)), 0.0)
                ),
                request=Request(
                    images=None if work.images is None else work.images.source,
                    manifest=None if work.images is None else work.images.manifest,
                    carried=work.images is not None and work.images.carried,
                    model_dir=work.model_dir,
                    checkpoint=settings.checkpoint,
                    cpu_threads=stage.resources.cpus,
                    gpus=stage.resources.gpus,
                    versions=settings.versions,
                ),
                resources=stage.resources,
                timeout_seconds=None if hours is None else hours * 3600,
                together=work.together,
                family="" if run is None else run.model.architecture.family,
                flops=flops.get(work.job_id),
            ),
        )
    return list(tasks.values())


def _stage_settings(job: Job, settings: TaskSettings) -> StageSettings:
    """Other codecs are evaluated as models are; classical ones and estimates are
    made on the CPU.
    """
    if isinstance(job, BenchmarkJob) and job.hardware_id in settings.devices:
        return settings.devices[job.hardware_id]
    if not isinstance(job, ON_CPU | OverfitJob):
        return settings.per_stage.get(job.stage, StageSettings())
    stage = settings.per_stage.get("evaluate", StageSettings())
    if isinstance(job, OverfitJob):
        return stage
    device = stage.resources.device or ""
    label = device if "=" in device else None  # and no accelerator
    plain = replace(stage.resources, gpus=0.0, device=label)
    return replace(stage, resources=plain)


def _training_flops(runs: Iterable[Run]) -> dict[str, float]:
    """By run_id; empty where the costs of some are not known."""
    flops = {run.run_id: run.training_flops() for run in runs}
    known = {run_id: own for run_id, own in flops.items() if own is not None}
    return known if len(known) == len(flops) else {}


def _starting_order(
    runs: Iterable[Run], flops: Mapping[str, float], rank: int
) -> dict[str, tuple[float, float]]:
    """Priorities of the trainings; empty where their costs are not known.

    Args:
      rank: of their stage.
    """
    if not flops:
        return {}
    pilots: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: flops[run.run_id]):
        pilots.setdefault(run.model.architecture.family, run.run_id)
    return {
        run_id: (rank - 0.5 if run_id in pilots.values() else rank, -cost)
        for run_id, cost in flops.items()
    }


def _groups(runs: Iterable[Run], most: int) -> dict[str, str]:
    """run_id to the group of runs equal but for their rate, at most `most` each."""
    if most == 1:
        return {}
    groups: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    for run in runs:
        if run.model.recipe.method == "mask_decay":
            continue  # each decays a teacher of its own
        groups[run.run_id] = f"{run.curve_id} {sizes[run.curve_id] // most}"
        sizes[run.curve_id] += 1
    return groups


def _work(runs: Iterable[Run], settings: TaskSettings) -> Iterator[_Work]:
    trained = settings.weights == "trained"
    groups = _groups(runs, settings.models_together)
    for run in runs:
        label = f"{run.title} {run.run_id[:8]}"
        if "train" in settings.stages:
            group = groups.get(run.run_id)
            start, images = run.model.init_from, settings.train_set
            given = settings.teachers.get(start or "")
            own = None if given else start
            yield _Work(run.job, run.run_id, label, images, own, group, run, given)
        if "evaluate" in settings.stages:
            evaluate = EvaluateJob(
                run_id=run.run_id,
                dataset=settings.eval_set.name,
                data_sha256=settings.eval_set.data_sha256,
                codec=_with_all_encoders(settings.codec, run),
            )
            images = settings.eval_set
            own_id = evaluate.job_id
            yield _Work(evaluate, own_id, label, images, run.run_id, run=run)
        if "benchmark" in settings.stages and settings.compiler is not None:
            yield from _estimates(run, settings, settings.compiler)
        elif "benchmark" in settings.stages:
            decoded = settings.eval_set if trained else None
            parent = run.run_id if trained else None
            for hardware_id in settings.devices or (settings.hardware_id,):
                benchmark = BenchmarkJob(
                    architecture=run.model.architecture,
                    hardware_id=hardware_id,
                    benchmark=settings.benchmark,
                    run_id=run.run_id if trained else None,
                    codec=settings.codec if trained else _of_network(settings.codec),
                )
                own_id = benchmark.job_id
                own = _stage_settings(benchmark, settings).resources.device
                where = label + ("" if own is None else f" on {own}")
                yield _Work(benchmark, own_id, where, decoded, parent, run=run)
    if "evaluate" in settings.stages:
        images = settings.eval_set
        for name in settings.codecs:
            codec = CodecJob(
                codec=ClassicalSpec(name=name),
                dataset=images.name,
                data_sha256=images.data_sha256,
            )
            label = f"{name} on {images.name}"
            yield _Work(codec, codec.job_id, label, images)
        yield from _overfitted(settings)


def _estimates(
    run: Run, settings: TaskSettings, target: CompilerTarget
) -> Iterator[_Work]:
    """Runs of one architecture, and of one step, share them."""
    architecture = run.model.architecture
    on = f"{run.title} on {target.device_kind}"
    if "decoder" in settings.estimates:
        decoder = EstimateJob(
            architecture=architecture,
            target=target,
            height_px=settings.benchmark.height_px,
            width_px=settings.benchmark.width_px,
        )
        yield _Work(decoder, decoder.job_id, on, run=run)
    if "training_step" in settings.estimates:
        step = TrainingEstimateJob.of(run.model, target)
        yield _Work(step, step.job_id, f"training step of {on}", run=run)


def _overfitted(settings: TaskSettings) -> Iterator[_Work]:
    """Image by image, so that each is done in a while."""
    wanted = settings.overfitted
    for file in settings.eval_images:
        for name, lmbda in itertools.product(wanted.codecs, wanted.lmbdas):
            job = OverfitJob(
                codec=replace(preset(name), lmbdas=(lmbda,)),
                name=name,
                effort=wanted.effort,
                dataset=settings.eval_set.name,
                image=Path(file.path).name,
                image_sha256=file.sha256,
            )
            label = f"{name} on {job.image}, lambda {lmbda:g}"
            images = ImageSet(file.path, job.image, file.sha256)
            yield _Work(job, job.job_id, label, images)


def _with_all_encoders(codec: CodecSettings, run: Run) -> CodecSettings:
    """Of several encoders, effort says how many run."""
    more = run.model.architecture.encoders - 1
    return replace(codec, effort=more) if more else codec


def _of_network(codec: CodecSettings) -> CodecSettings:
    """What the time of the network alone depends on."""
    return CodecSettings(numerics=codec.numerics)
