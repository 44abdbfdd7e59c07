"""Jobs as tasks: what each runs on, when, and with which request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rdc.jobs.job import (
    Job,
    Request,
)
from sweeps.capacity import Resources
from sweeps.plan import Plan, Run
from sweeps.task_settings import TaskSettings, hardware_of
from sweeps.work import work_of


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
        return f"hardware.{hardware_of(self.job)}"

    def wanted(self, memory_factor: int) -> Resources:
        """What a process takes that is given so many times the memory."""
        if memory_factor == 1:
            return self.resources
        return replace(self.resources, memory_factor=memory_factor)


def make_tasks(plan: Plan, settings: TaskSettings) -> list[Task]:
    """All tasks of the asked stages; jobs that several runs share come once.

    Trainings start with a cheap pilot of each family, which tells soon what is wrong
    with it, and then the longest first, so that none is left for the end; in the order
    of the plan where nothing was counted.
    """
    order = ["train", "teacher", "evaluate", "codec", "overfit", "split"]
    order += ["estimate", "estimate_training"]
    order.insert(6 if settings.weights == "trained" else 0, "benchmark")
    flops = _training_flops(plan.runs)
    first = _starting_order(plan.runs, flops, order.index("train"))
    tasks: dict[str, Task] = {}
    for work in work_of(plan.runs, settings):
        stage = settings.of(work.job)
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
                    photographs=work.photographs,
                    annotations=work.annotations,
                    test_photographs=work.test_photographs,
                    test_annotations=work.test_annotations,
                    codec_dir=work.codec_dir,
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
