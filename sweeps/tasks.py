"""The jobs of a plan in the order of their dependencies, with all they need to run.

train -> evaluate -> benchmark      weights: trained
benchmark, train -> evaluate        weights: random (the architecture is enough)
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rdc.jobs.job import BenchmarkJob, EvaluateJob, Job, Request
from rdc.specs.base import Spec, require
from rdc.specs.coding import CodecSpec
from rdc.specs.training import BenchmarkSpec, CheckpointSpec
from sweeps.executor import Resources
from sweeps.plan import Plan, Run

JOB_STAGES = ("train", "evaluate", "benchmark")


@dataclass(frozen=True)
class ImageSet:
    """A folder or list of images, by its content."""

    source: str
    name: str
    data_sha256: str


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
      rates_together: trainings that differ in `lmbda` alone, at most so many, share a
        process and its hardware.
    """

    stages: tuple[str, ...]
    train_set: ImageSet
    eval_set: ImageSet
    hardware_id: str
    benchmark: BenchmarkSpec
    codec: CodecSpec = field(default_factory=CodecSpec)
    weights: Literal["trained", "random"] = "trained"
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    rates_together: int = 1
    per_stage: Mapping[str, StageSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number = self.rates_together
        require(number >= 1, "rates_together is at least 1", number)


@dataclass(frozen=True)
class Task:
    """One job with what the driver needs to schedule it.

    Attributes:
      parent: job_id of the training whose model this job reads, or None.
      priority: smaller starts first.
      request: the part that no state changes.
      label: for people.
      together: trainings with the same text here may share a process; None: never.
    """

    job: Job
    job_id: str
    label: str
    parent: str | None
    priority: int
    request: Request
    resources: Resources
    timeout_seconds: float | None
    together: str | None = None


def make_tasks(plan: Plan, settings: TaskSettings) -> list[Task]:
    """All tasks of the asked stages; jobs that several runs share come once."""
    jobs = _jobs(plan.runs, settings)
    order = ["train", "evaluate"]
    order.insert(2 if settings.weights == "trained" else 0, "benchmark")
    groups = _rate_groups(plan.runs, settings.rates_together)
    tasks: dict[str, Task] = {}
    for job, job_id, parent, label, images in jobs:
        stage = settings.per_stage.get(job.stage, StageSettings())
        hours = stage.timeout_hours
        tasks.setdefault(
            job_id,
            Task(
                job=job,
                job_id=job_id,
                label=label,
                parent=parent,
                priority=order.index(job.stage),
                request=Request(
                    images=images,
                    checkpoint=settings.checkpoint,
                    cpu_threads=stage.resources.cpus,
                ),
                resources=stage.resources,
                timeout_seconds=None if hours is None else hours * 3600,
                together=groups.get(job_id),
            ),
        )
    return list(tasks.values())


def _rate_groups(runs: Iterable[Run], most: int) -> dict[str, str]:
    """run_id to the group of runs that differ in `lmbda` alone, at most `most` each."""
    if most == 1:
        return {}
    groups: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    for run in runs:
        train = dataclasses.replace(run.job.train, lmbda=1.0)
        alike = dataclasses.replace(run.job, train=train).job_id
        groups[run.run_id] = f"{alike} {sizes[alike] // most}"
        sizes[alike] += 1
    return groups


def _jobs(
    runs: Iterable[Run], settings: TaskSettings
) -> Iterable[tuple[Job, str, str | None, str, str | None]]:
    trained = settings.weights == "trained"
    for run in runs:
        label = f"{run.name or run.job.architecture.family} {run.run_id[:8]}"
        if "train" in settings.stages:
            yield run.job, run.run_id, None, label, settings.train_set.source
        if "evaluate" in settings.stages:
            evaluate = EvaluateJob(
                run_id=run.run_id,
                dataset=settings.eval_set.name,
                data_sha256=settings.eval_set.data_sha256,
                lmbda=run.job.train.lmbda,
                distortion=run.job.train.distortion,
                codec=settings.codec,
            )
            source = settings.eval_set.source
            yield evaluate, evaluate.job_id, run.run_id, label, source
        if "benchmark" in settings.stages:
            benchmark = BenchmarkJob(
                architecture=run.job.architecture,
                hardware_id=settings.hardware_id,
                benchmark=settings.benchmark,
                run_id=run.run_id if trained else None,
                codec=settings.codec if trained else CodecSpec(),
            )
            images = settings.eval_set.source if trained else None
            parent = run.run_id if trained else None
            yield benchmark, benchmark.job_id, parent, label, images
