"""Jobs as calls of the library: folders and settings in, typed results out.

Nothing is computed here: training is `rdc.training`, measuring `rdc.measurements`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rdc.codec.base import Codec
from rdc.data.image_sets import (
    dataset_name,
    file_sha256,
    image_files,
    readable_images,
)
from rdc.data.images import MAX_PIXELS, read_image
from rdc.data.photograph import photograph
from rdc.errors import NodeError, RdcError
from rdc.jobs.attempts import given, images_of, progress_of
from rdc.jobs.job import (
    Assignment,
    BenchmarkJob,
    CodecJob,
    EstimateJob,
    EvaluateJob,
    Job,
    OverfitJob,
    Request,
    SplitJob,
    TeacherJob,
    TrainingEstimateJob,
    TrainJob,
)
from rdc.jobs.layout import CHECKPOINT_FOLDER, MODEL_FOLDER
from rdc.jobs.records import (
    BenchmarkResult,
    CodecResult,
    EstimateResult,
    EvaluateResult,
    SplitResult,
    TeacherResult,
    TrainingEstimateResult,
    TrainResult,
)
from rdc.specs.base import Spec
from rdc.specs.coding import CodecSettings
from rdc.specs.compiler import CompilerTarget

_log = logging.getLogger(__name__)
Result = Spec | RdcError  # of a type in `rdc.jobs.records.RESULTS`


def _train(attempts: Sequence[Assignment[TrainJob]]) -> list[Result]:
    from rdc.codec.exported import export
    from rdc.training.loop import train_together
    from rdc.training.member import Training

    request = attempts[0].request
    outcomes = train_together(
        [
            Training(a.job.model, a.folder, tuple(map(Path, a.request.resume_from)))
            for a in attempts
        ],
        images_of(request),
        checkpoint=request.checkpoint,
        accumulate=request.accumulate,
        init_from=request.model_dir,
    )
    results: list[Result] = []
    for attempt, outcome in zip(attempts, outcomes, strict=True):
        if isinstance(outcome, RdcError):
            results.append(outcome)
            continue
        job = attempt.job
        provenance = {"run_id": job.job_id, "job": job.to_dict()}
        points = job.model.operating_points
        exported = export(
            outcome.model,
            attempt.folder / MODEL_FOLDER,
            provenance,
            points,
            attempt.request.checkpoint.model_dtype,
        )
        result = TrainResult(
            arch_id=job.arch_id,
            data_sha256=job.model.data_sha256,
            summary=outcome.summary,
            resumed_from_step=outcome.resumed_from_step,
            model_dir=MODEL_FOLDER,
            restarted_because=outcome.restarted_because,
            model_id=exported.identity,
        )
        results.append(result)
    return results


def _evaluate(job: EvaluateJob, request: Request) -> EvaluateResult:
    from rdc.codec.learned import LearnedCodec

    codec = LearnedCodec.load(given(request.model_dir), **_options(job.codec))
    return EvaluateResult(
        run_id=job.run_id,
        dataset=job.dataset,
        coder=job.codec.coder,
        numerics=job.codec.numerics,
        effort=job.codec.effort,
        model_id=codec.codec_id,
        **_measurements(codec, request, job.codec.effort),
    )


def _codec(job: CodecJob, request: Request) -> CodecResult:
    from rdc.codec.classical import ClassicalCodec

    codec = ClassicalCodec(job.codec)
    return CodecResult(
        codec_id=codec.codec_id,
        name=job.codec.name,
        version=codec.version,
        dataset=job.dataset,
        **_measurements(codec, request),
    )


def _overfit(attempt: Assignment[OverfitJob]) -> CodecResult:
    import jax

    from rdc.codec.overfitted import OverfittedCodec
    from rdc.measurements.evaluation import measured
    from rdc.overfitted.saved_search import SavedSearch
    from rdc.overfitted.schedule import schedule_of

    job, request = attempt.job, attempt.request
    path = Path(given(request.images))
    if file_sha256(path).hex() != job.image_sha256:
        raise NodeError(
            f"a machine that works has {job.image} as it was planned",
            f"other bytes in {path}",
            "copy it there; or plan again, where it was changed on purpose",
        )
    steps = schedule_of(job.effort).steps

    told = progress_of(attempt)
    codec = OverfittedCodec(
        job.codec,
        max_pixels=MAX_PIXELS,
        progress=lambda step, loss: told(step, steps, loss),
        saved=SavedSearch(
            attempt.folder / CHECKPOINT_FOLDER,
            [Path(path) / CHECKPOINT_FOLDER for path in request.resume_from],
            request.checkpoint.every_seconds,
        ),
    )
    (point,) = codec.operating_points
    row = measured(codec, job.image, read_image(path), point, job.effort)
    return CodecResult(
        codec_id=codec.codec_id,
        name=job.name,
        version=f"JAX {jax.__version__}",
        codec_class="overfitted",
        effort=job.effort,
        kflops_per_px=codec.cost(row.height_px, row.width_px).kflops_per_px,
        dataset=job.dataset,
        images=(replace(row, setting=job.lmbda),),
        skipped_images=(),
    )


def _teacher(attempt: Assignment[TeacherJob]) -> TeacherResult:
    from rdc.jobs.split_stages import train_teacher

    return train_teacher(attempt)


def _split(attempt: Assignment[SplitJob]) -> SplitResult:
    from rdc.jobs.split_stages import measure_split

    return measure_split(attempt)


def _measurements(codec: Codec, request: Request, effort: int = 0) -> dict[str, Any]:
    """`images` and `skipped_images` of a result."""
    from rdc.measurements import evaluate

    source = images_of(request)
    read = set()

    def images() -> Iterator[tuple[str, np.ndarray]]:
        for path, x in readable_images(source):
            read.add(path)
            yield path.name, x

    rows = evaluate(codec, images(), effort=effort)
    skipped = (path.name for path in image_files(source) if path not in read)
    return {"images": tuple(rows), "skipped_images": tuple(skipped)}


def _benchmark(job: BenchmarkJob, request: Request) -> BenchmarkResult:
    from rdc.architectures import build
    from rdc.codec.learned import LearnedCodec
    from rdc.measurements import time_components, time_decoder

    spec, options = job.benchmark, _options(job.codec)
    if request.model_dir is None:
        codec = LearnedCodec.of(build(job.architecture), **options)
        image, rate = None, 0.0
        times = time_decoder(codec, spec, stages=("network",))
    else:
        codec = LearnedCodec.load(request.model_dir, **options)
        rate = codec.rate_of(None)
        image = photograph(images_of(request), spec.height_px, spec.width_px)
        dataset = dataset_name(given(request.images))
        times = time_decoder(codec, spec, image, dataset=dataset, rate=rate)
    return BenchmarkResult(
        arch_id=job.arch_id,
        run_id=job.run_id,
        coder=job.codec.coder,
        numerics=job.codec.numerics,
        rate=rate,
        times=tuple(times),
        components=tuple(time_components(codec, spec, image, rate=rate)),
        kflops_per_px=codec.cost(spec.height_px, spec.width_px).kflops_per_px,
        model_id=None if request.model_dir is None else codec.codec_id,
    )


def _estimate(job: EstimateJob, request: Request) -> EstimateResult:
    from rdc.compiler.estimates import estimated_decoder

    size = job.height_px, job.width_px
    return EstimateResult(
        arch_id=job.arch_id,
        **_compiler(job.target),
        estimates=tuple(estimated_decoder(job.architecture, job.target, *size)),
    )


def _estimate_training(
    job: TrainingEstimateJob, request: Request
) -> TrainingEstimateResult:
    from rdc.compiler.estimates import estimated_training

    step = job.architecture, job.recipe, job.num_rates, job.target
    return TrainingEstimateResult(
        arch_id=job.arch_id,
        **_compiler(job.target),
        estimate=estimated_training(*step),
    )


def _compiler(target: CompilerTarget) -> dict[str, Any]:
    """What results tell of a device and its compiler, which is there."""
    from rdc.compiler.estimates import compiler_version

    return {
        "device_kind": target.device_kind,
        "device_note": target.note,
        "clock_mhz": target.clock_mhz,
        "compiler": compiler_version(target),
    }


def _options(settings: CodecSettings) -> dict[str, Any]:
    """Of a codec that decodes its own streams: as large as image files may be."""
    return {
        "coder": settings.coder,
        "numerics": settings.numerics,
        "max_pixels": MAX_PIXELS,
    }


Stage = Callable[[Sequence[Assignment]], Sequence[Result]]


def _each(stage: Callable[[Any, Request], Spec]) -> Stage:
    """A stage whose attempts have nothing to do with each other."""
    return lambda attempts: [stage(a.job, a.request) for a in attempts]


# What a process does with the attempts that it is given, by the type of their jobs.
STAGES: dict[type[Job], Stage] = {
    TrainJob: _train,
    EvaluateJob: _each(_evaluate),
    CodecJob: _each(_codec),
    OverfitJob: lambda attempts: [_overfit(attempt) for attempt in attempts],
    TeacherJob: lambda attempts: [_teacher(attempt) for attempt in attempts],
    SplitJob: lambda attempts: [_split(attempt) for attempt in attempts],
    BenchmarkJob: _each(_benchmark),
    EstimateJob: _each(_estimate),
    TrainingEstimateJob: _each(_estimate_training),
}
