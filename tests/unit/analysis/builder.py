"""Writes the output of a sweep that never ran: real jobs and records, made-up numbers.

Architectures, identities, folders and record files are those of a real sweep.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rdc.jobs.job import (
    BenchmarkJob,
    CodecJob,
    EvaluateJob,
    Job,
    OverfitJob,
    TrainJob,
)
from rdc.jobs.layout import (
    ATTEMPTS_FOLDER,
    OUT_SCHEMA_VERSION,
    PROGRESS_FILE,
    RECORD_FILE,
    SPEC_FILE,
    SWEEP_FILE,
)
from rdc.jobs.plan_row import PlanRow
from rdc.jobs.records import (
    BenchmarkResult,
    CodecResult,
    EvaluateResult,
    Record,
    TrainingSummary,
    TrainResult,
)
from rdc.measurements.rows import DecodeTime, ImageMeasurement
from rdc.overfitted.spec import preset
from rdc.specs.base import Spec
from rdc.specs.classical import ClassicalSpec
from rdc.specs.coding import CodecSettings
from rdc.specs.components import ArchitectureSpec
from rdc.specs.model import ModelSpec
from rdc.specs.recipe import Recipe
from rdc.specs.timing import BenchmarkSpec
from rdc.system.files import read_json, write_json_atomically
from tests.unit.analysis.invented import (
    HARDWARE,
    architectures,
    cost,
    curve_bpp,
    image_measurement,
    plan_row,
    write_plan,
)


@dataclass
class SweepOutput:
    """OUT of a sweep, written piece by piece.

    Attributes:
      out: the folder.
      images: names of the evaluated images.
      codec: settings of evaluations and benchmarks.
      repeats: of every decode time.
    """

    out: Path
    images: tuple[str, ...] = tuple(f"photo{n}.png" for n in range(4))
    dataset: str = "val"
    grid: str = "example"
    codec: CodecSettings = field(default_factory=CodecSettings)
    repeats: int = 5
    hardware_ids: tuple[str, ...] = ("c0ffee00c0ffee00",)
    rows: list[PlanRow] = field(default_factory=list)
    random: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0)
    )

    def plan(
        self,
        specs: list[ArchitectureSpec],
        names: dict[int, str] | None = None,
        counted: bool = True,
        lmbda: float = 0.0125,
        **recipe: Any,
    ) -> list[TrainJob]:
        """Adds one run per architecture to plan.parquet, and sweep.json."""
        values: dict[str, Any] = {
            "steps": 500,
            "batch_size": 8,
            "crop_px": 128,
            **recipe,
        }
        jobs = [
            TrainJob(
                model=ModelSpec(
                    architecture=spec,
                    recipe=Recipe(**values),
                    rates=(lmbda,),
                    data_sha256="d" * 64,
                )
            )
            for spec in specs
        ]
        self.rows += [
            plan_row(job, (names or {}).get(i), counted) for i, job in enumerate(jobs)
        ]
        self.out.mkdir(parents=True, exist_ok=True)
        write_plan(self.out, [row.to_dict() for row in self.rows])
        self._write_sweep()
        return jobs

    def finish(self, jobs: list[TrainJob], git_sha: str = "abc1234") -> None:
        """Writes ok records of training, evaluation and benchmarks."""
        for job in jobs:
            self.train(job, git_sha=git_sha)
            self.evaluate(job)
            for hardware_id in self.hardware_ids:
                self.benchmark(job, hardware_id)

    def train(
        self,
        job: TrainJob,
        status: str = "ok",
        error: str | None = None,
        git_sha: str = "abc1234",
        attempt: int = 1,
    ) -> Path:
        recipe = job.model.recipe
        summary = TrainingSummary(
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            accumulate=1,
            devices=1,
            models_together=1,
            skipped_images=0,
            skipped_steps=0,
            rollbacks=0,
            train_seconds=61.5,
            input_seconds=0.5,
            checkpoint_seconds=0.25,
            steps_per_second=8.13,
            loss_first=9.5,
            loss_last=1.6,
        )
        result = TrainResult(
            arch_id=job.arch_id,
            data_sha256=job.model.data_sha256,
            summary=summary,
            resumed_from_step=0,
            model_dir="model",
        )
        return self._record(job, result, status, error, git_sha, attempt=attempt)

    def evaluate(
        self,
        job: TrainJob,
        status: str = "ok",
        error: str | None = None,
        psnr_db: float | None = None,
    ) -> Path:
        """Made-up images: better for dearer architectures, or around a given PSNR."""
        evaluation = EvaluateJob(
            run_id=job.job_id,
            dataset=self.dataset,
            data_sha256="e" * 64,
            codec=self.codec,
        )
        quality = 34 - 6 / np.log10(cost(job.model.architecture))
        quality += self.random.normal(0, 0.1)
        result = EvaluateResult(
            run_id=job.job_id,
            dataset=self.dataset,
            images=self._images(quality)
            if psnr_db is None
            else self._curve_point(psnr_db),
            skipped_images=(),
            **self.codec.to_dict(),
        )
        return self._record(evaluation, result, status, error)

    def classical(self, name: str, **settings: Any) -> Path:
        """JPEG, WebP, ... on the same images: two dB apart from 24 dB on."""
        codec = ClassicalSpec(name=name, **settings)
        job = CodecJob(codec=codec, dataset=self.dataset, data_sha256="e" * 64)
        images = [
            image
            for rate, setting in enumerate(codec.settings)
            for image in self._curve_point(24 + 2 * rate, rate, float(setting))
        ]
        result = CodecResult(
            codec_id=codec.codec_id,
            name=name,
            version="1.0",
            codec_class="classical",
            effort=0,
            kflops_per_px=None,
            dataset=self.dataset,
            images=tuple(images),
            skipped_images=(),
        )
        return self._record(job, result)

    def overfitted(self, name: str, lmbdas: tuple[float, ...] = (0.0125,)) -> Path:
        """Records of an overfitted codec, one per image and lambda; the last one."""
        for image, lmbda in itertools.product(self.images, lmbdas):
            job = OverfitJob(
                codec=replace(preset(name), lmbdas=(lmbda,)),
                name=name,
                effort=0,
                dataset=self.dataset,
                image=image,
                image_sha256="f" * 64,
            )
            row = image_measurement(image, 20 * lmbda, 30 + 200 * lmbda)
            result = CodecResult(
                codec_id="0" * 16,
                name=name,
                version="1" * 16,
                codec_class="overfitted",
                effort=0,
                kflops_per_px=2.4,
                dataset=self.dataset,
                images=(replace(row, setting=lmbda),),
                skipped_images=(),
            )
            record = self._record(job, result)
        return record

    def _images(self, quality: float) -> tuple[ImageMeasurement, ...]:
        rows = []
        for name in self.images:
            psnr_db = float(quality + self.random.normal(0, 1))
            bpp = float(0.5 - 0.01 * (psnr_db - 31) + self.random.uniform(0, 0.02))
            rows.append(image_measurement(name, bpp, psnr_db))
        return tuple(rows)

    def _curve_point(
        self, psnr_db: float, rate: int = 0, setting: float | None = None
    ) -> tuple[ImageMeasurement, ...]:
        """All images alike."""
        bpp = curve_bpp(psnr_db)
        return tuple(
            image_measurement(name, bpp, float(psnr_db), rate, setting)
            for name in self.images
        )

    def benchmark(
        self,
        job: TrainJob,
        hardware_id: str = "c0ffee00c0ffee00",
        trained: bool = True,
        cpu_threads: int = 2,
        planned_hardware_id: str | None = None,
    ) -> Path:
        """Times of the trained model in all stages, or of random weights in one."""
        benchmark = BenchmarkJob(
            architecture=job.model.architecture,
            hardware_id=planned_hardware_id or hardware_id,
            benchmark=BenchmarkSpec(repeats=self.repeats),
            run_id=job.job_id if trained else None,
            codec=self.codec,
        )
        speed = 0.05 if HARDWARE[hardware_id]["platform"] == "gpu" else 1.0
        width = cost(job.model.architecture)
        network = width * speed * self.random.uniform(0.8, 1.3) + 3
        coding = 15 + self.random.uniform(0, 2)
        medians = {
            "network": network,
            "entropy_coding": coding,
            "end_to_end": network + coding + 2,
        }
        if not trained:
            medians = {"network": network}
        times = [
            DecodeTime(
                dataset=self.dataset,
                height_px=512,
                width_px=768,
                precision="highest",
                cpu_threads=cpu_threads,
                visible_devices=1,
                load_average=0.5,
                stage=stage,
                repeat=repeat,
                decode_ms=float(median * self.random.uniform(0.97, 1.05)),
            )
            for stage, median in medians.items()
            for repeat in range(self.repeats)
        ]
        result = BenchmarkResult(
            arch_id=job.arch_id,
            run_id=benchmark.run_id,
            coder=self.codec.coder,
            numerics=self.codec.numerics,
            rate=0,
            times=tuple(times),
        )
        planned = {"planned_hardware_id": benchmark.hardware_id}
        return self._record(benchmark, result, hardware_id=hardware_id, extra=planned)

    def progress(self, job: TrainJob) -> Path:
        """An attempt at work."""
        path = job.folder(self.out) / ATTEMPTS_FOLDER / "1" / PROGRESS_FILE
        value = {"step": 250, "steps": 500, "loss": 2.0, "bpp": 0.6, "updated_at": 0.0}
        write_json_atomically(path, value)
        return path

    def _record(
        self,
        job: Job,
        result: Spec,
        status: str = "ok",
        error: str | None = None,
        git_sha: str = "abc1234",
        hardware_id: str = "c0ffee00c0ffee00",
        attempt: int = 1,
        extra: dict | None = None,
    ) -> Path:
        folder = job.folder(self.out)
        write_json_atomically(folder / SPEC_FILE, job.to_dict(), durable=False)
        record = Record(
            stage=job.stage,
            job_id=job.job_id,
            status=status,
            attempt=attempt,
            error=error,
            seconds=70.0,
            result=result.to_dict() if status == "ok" else {},
            environment={
                "git_sha": git_sha,
                "python_version": "3.11.9",
                "jax_version": "0.10.2",
                "flax_version": "0.12.8",
                "hardware_id": hardware_id,
                "hardware": HARDWARE[hardware_id],
                **(extra or {}),
            },
        )
        write_json_atomically(folder / RECORD_FILE, record.to_dict(), durable=False)
        return folder / RECORD_FILE

    def _write_sweep(self) -> None:
        write_json_atomically(
            self.out / SWEEP_FILE,
            {
                "schema_version": OUT_SCHEMA_VERSION,
                "grid": self.grid,
                "config": {"grid": {"name": self.grid}, "train": {"steps": 500}},
                "versions": {"rdc-frontier": "0.1.0", "jax": "0.10.2"},
                "git_sha": "abc1234",
                "hardware": HARDWARE["c0ffee00c0ffee00"],
                "created_at": "2026-01-02T03:04:05+00:00",
                "stages": ["plan", "complexity", "train", "evaluate", "gather"],
                "datasets": {
                    role: {"source": f"bundled:{role}", "name": name, **hashed}
                    for role, name in (("train", "train"), ("eval", self.dataset))
                    for hashed in [{"data_sha256": "d" * 64}]
                },
            },
        )


CURVE_LAMBDAS = (0.002, 0.005, 0.0125, 0.03, 0.08)


def write_curve(sweep: SweepOutput, better_db: float = 0.0) -> None:
    """One architecture at five rates: points of `curve_bpp`, raised by some dB."""
    for i, lmbda in enumerate(CURVE_LAMBDAS):
        (job,) = sweep.plan(architectures((48,))[:1], lmbda=lmbda)
        sweep.train(job)
        path = sweep.evaluate(job, psnr_db=25.0 + 3 * i)
        record = read_json(path)
        for image in record["result"]["images"]:
            image["psnr_db"] += better_db
        write_json_atomically(path, record)
