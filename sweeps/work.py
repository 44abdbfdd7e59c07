"""The jobs of a plan, in the order in which they depend on each other.

train -> evaluate -> benchmark      weights: trained
train -> train                      of a teacher and its student
teacher -> split                    a task network of a fold, methods before it
benchmark, train -> evaluate        weights: random (the architecture is enough)

Classical codecs are measured in the stage evaluate, once per set of images; so are
overfitted ones, image by image. Teachers of tasks belong to the stage train, split
methods to evaluate, although some are trained there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rdc.jobs.job import (
    BenchmarkJob,
    CodecJob,
    EstimateJob,
    EvaluateJob,
    Job,
    OverfitJob,
    SplitJob,
    TeacherJob,
    TrainingEstimateJob,
)
from rdc.overfitted.spec import preset
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.compiler import CompilerTarget
from sweeps.plan import Run
from sweeps.task_settings import ImageSet, TaskSettings


@dataclass(frozen=True)
class Work:
    """One job before it is given resources.

    Attributes:
      parent, together: as of a `Task`.
      model_dir, photographs, annotations and those of the test, codec_dir: as of a
        `Request`.
    """

    job: Job
    job_id: str
    label: str
    images: ImageSet | None = None
    parent: str | None = None
    together: str | None = None
    run: Run | None = None
    model_dir: str | None = None
    photographs: str | None = None
    annotations: str | None = None
    test_photographs: str | None = None
    test_annotations: str | None = None
    codec_dir: str | None = None


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


def work_of(runs: Iterable[Run], settings: TaskSettings) -> Iterator[Work]:
    trained = settings.weights == "trained"
    groups = _groups(runs, settings.models_together)
    for run in runs:
        label = f"{run.title} {run.run_id[:8]}"
        if "train" in settings.stages:
            group = groups.get(run.run_id)
            start, images = run.model.init_from, settings.train_set
            given = settings.teachers.get(start or "")
            own = None if given else start
            yield Work(run.job, run.run_id, label, images, own, group, run, given)
        if "evaluate" in settings.stages:
            evaluate = EvaluateJob(
                run_id=run.run_id,
                dataset=settings.eval_set.name,
                data_sha256=settings.eval_set.data_sha256,
                codec=_with_all_encoders(settings.codec, run),
            )
            images = settings.eval_set
            own_id = evaluate.job_id
            yield Work(evaluate, own_id, label, images, run.run_id, run=run)
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
                own = settings.of(benchmark).resources.device
                where = label + ("" if own is None else f" on {own}")
                yield Work(benchmark, own_id, where, decoded, parent, run=run)
    if "evaluate" in settings.stages:
        images = settings.eval_set
        for name in settings.codecs:
            codec = CodecJob(
                codec=ClassicalSpec(name=name),
                dataset=images.name,
                data_sha256=images.data_sha256,
            )
            label = f"{name} on {images.name}"
            yield Work(codec, codec.job_id, label, images)
        yield from _overfitted(settings)
    yield from _split(settings)


def _estimates(
    run: Run, settings: TaskSettings, target: CompilerTarget
) -> Iterator[Work]:
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
        yield Work(decoder, decoder.job_id, on, run=run)
    if "training_step" in settings.estimates:
        step = TrainingEstimateJob.of(run.model, target)
        yield Work(step, step.job_id, f"training step of {on}", run=run)


def _overfitted(settings: TaskSettings) -> Iterator[Work]:
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
            yield Work(job, job.job_id, label, images)


def _split(settings: TaskSettings) -> Iterator[Work]:
    """Fold by fold, each after its teacher."""
    wanted, photographs = settings.split, settings.photographs
    if photographs is None:
        return
    chosen, test = wanted.expanded(), settings.test_photographs
    weights = settings.teacher_weights
    data: dict[str, Any] = {
        "dataset": photographs.name if test is None else test.name,
        "data_sha256": photographs.data_sha256,
        "test_sha256": "" if test is None else test.data_sha256,
        "fold_count": wanted.fold_count,
        "answered_px": wanted.answered_px,
    }
    sources: dict[str, Any] = {
        "photographs": photographs.source,
        "annotations": photographs.annotations,
        "test_photographs": None if test is None else test.source,
        "test_annotations": None if test is None else test.annotations,
    }
    for fold in range(wanted.fold_count):
        teacher = TeacherJob(
            teacher=wanted.teacher,
            weights_sha256="" if weights is None else weights.sha256,
            fold=fold,
            **data,
        )
        where = "" if wanted.fold_count == 1 else f", fold {fold}"
        if "train" in settings.stages:
            path = None if weights is None else weights.path
            label = f"teacher{where}"
            yield Work(teacher, teacher.job_id, label, model_dir=path, **sources)
        if "evaluate" not in settings.stages:
            continue
        for one in chosen:
            images = (
                settings.train_set if one.is_distilled and wanted.unlabelled else None
            )
            job = SplitJob(
                method=one.method,
                codec_id=one.codec_id,
                teacher=teacher.job_id,
                unlabelled_sha256="" if images is None else images.data_sha256,
                fold=fold,
                seed=one.seed,
                **data,
            )
            yield Work(
                job,
                job.job_id,
                f"{one.title}{where}",
                images,
                teacher.job_id,
                **sources,
                codec_dir=one.codec_dir or None,
            )


def _with_all_encoders(codec: CodecSettings, run: Run) -> CodecSettings:
    """Of several encoders, effort says how many run."""
    more = run.model.architecture.encoders - 1
    return replace(codec, effort=more) if more else codec


def _of_network(codec: CodecSettings) -> CodecSettings:
    """What the time of the network alone depends on."""
    return CodecSettings(numerics=codec.numerics)
