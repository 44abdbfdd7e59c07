"""Writes the output of a sweep that never ran: real jobs and records, made-up numbers.

Architectures, identities, folders and record files are those of a real sweep. Costs,
losses and times are invented, smooth in the width, and the same for the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from rdc.identity import canonical_json
from rdc.jobs.job import BenchmarkJob, EvaluateJob, Job, Record, TrainJob
from rdc.registry import parse_architecture
from rdc.specs.components import ArchitectureSpec
from rdc.specs.training import BenchmarkSpec, TrainSpec
from rdc.system.files import write_json_atomically

HARDWARE = {
    "c0ffee00c0ffee00": {
        "hardware_id": "c0ffee00c0ffee00",
        "device_kind": "Example CPU, 2 cores",
        "platform": "cpu",
        "device_count": 1,
        "driver": None,
        "jax_version": "0.10.2",
        "host_cpu": "Example CPU",
        "clock_note": "not fixed",
    },
    "9f09f09f09f09f09": {
        "hardware_id": "9f09f09f09f09f09",
        "device_kind": "Example GPU",
        "platform": "gpu",
        "device_count": 1,
        "driver": "1.2.3",
        "jax_version": "0.10.2",
        "host_cpu": "Example CPU",
        "clock_note": "default",
    },
}
FAMILIES = ("conv/mean", "conv/charm", "elic/mean", "elic/charm")


def architectures(widths: Iterable[int] = (64, 128, 192)) -> list[ArchitectureSpec]:
    """Four families of each width."""
    return [
        parse_architecture(
            {
                "transform": {
                    "name": family.split("/")[0],
                    "channels": (2 * (width // 3) + 2, width, width),
                },
                "entropy_model": {
                    "mean": "mean_scale_hyperprior",
                    "charm": "charm",
                }[family.split("/")[1]],
                "hyper_transform": "conv",
            }
        )
        for width in widths
        for family in FAMILIES
    ]


@dataclass
class SweepOutput:
    """OUT of a sweep, written piece by piece.

    Attributes:
      out: the folder.
      images: names of the evaluated images.
      repeats: of every decode time.
    """

    out: Path
    images: tuple[str, ...] = tuple(f"photo{n}.png" for n in range(4))
    dataset: str = "val"
    grid: str = "example"
    repeats: int = 5
    hardware_ids: tuple[str, ...] = ("c0ffee00c0ffee00",)
    jobs: list[TrainJob] = field(default_factory=list)
    random: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0)
    )

    def plan(
        self,
        specs: list[ArchitectureSpec],
        names: dict[int, str] | None = None,
        counted: bool = True,
        **train: object,
    ) -> list[TrainJob]:
        """Adds one run per architecture to plan.parquet, and sweep.json."""
        recipe = {"steps": 500, "batch_size": 8, "crop_px": 128, **train}
        new = [
            TrainJob(
                architecture=spec,
                train=TrainSpec(**recipe),
                data_sha256="d" * 64,
            )
            for spec in specs
        ]
        rows = [
            self._plan_row(job, (names or {}).get(i), counted)
            for i, job in enumerate(new)
        ]
        path = self.out / "plan.parquet"
        self.out.mkdir(parents=True, exist_ok=True)
        if self.jobs:
            rows = pd.read_parquet(path).to_dict("records") + rows
        pd.DataFrame(rows).to_parquet(path)
        self.jobs += new
        self._write_sweep()
        return new

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
        result = {
            "arch_id": job.arch_id,
            "steps": job.train.steps,
            "batch_size": job.train.batch_size,
            "train_seconds": 61.5,
            "steps_per_second": 8.13,
            "input_seconds": 0.5,
            "checkpoint_seconds": 0.25,
            "accumulate": 1,
            "devices": 1,
            "rates_together": 1,
            "skipped_images": 0,
            "loss_first": 9.5,
            "loss_last": 1.6,
            "resumed_from_step": None,
            "model_dir": "model",
            "skipped_steps": 0,
            "rollbacks": 0,
        }
        if status != "ok":
            result = {}
        return self._record(job, status, error, result, git_sha, attempt=attempt)

    def evaluate(
        self, job: TrainJob, status: str = "ok", error: str | None = None
    ) -> Path:
        evaluation = EvaluateJob(
            run_id=job.job_id,
            dataset=self.dataset,
            data_sha256="e" * 64,
            lmbda=job.train.lmbda,
        )
        quality = 34 - 6 / np.log10(cost(job.architecture)) + self.random.normal(0, 0.1)
        rows = []
        for name in self.images:
            psnr = quality + self.random.normal(0, 1)
            mse = 255**2 / 10 ** (psnr / 10)
            bpp = 0.5 - 0.01 * (psnr - 31) + self.random.uniform(0, 0.02)
            rows.append(
                {
                    "image": name,
                    "height_px": 512,
                    "width_px": 768,
                    "bytes": int(bpp * 512 * 768 / 8),
                    "bpp_estimated": bpp * 0.998,
                    "bpp_coded": bpp,
                    "psnr_db": psnr,
                    "ms_ssim": None if name == "photo0.png" else 0.97,
                    "mse_255": mse,
                    "rd_loss": bpp + job.train.lmbda * mse,
                }
            )
        result = {
            "run_id": job.job_id,
            "dataset": self.dataset,
            "images": rows,
            "skipped_images": [],
        }
        return self._record(evaluation, status, error, result if status == "ok" else {})

    def benchmark(
        self, job: TrainJob, hardware_id: str = "c0ffee00c0ffee00", trained: bool = True
    ) -> Path:
        """Times of the trained model in all stages, or of random weights in one."""
        benchmark = BenchmarkJob(
            architecture=job.architecture,
            hardware_id=hardware_id,
            benchmark=BenchmarkSpec(repeats=self.repeats),
            run_id=job.job_id if trained else None,
        )
        speed = 0.05 if HARDWARE[hardware_id]["platform"] == "gpu" else 1.0
        network = cost(job.architecture) * speed * self.random.uniform(0.8, 1.3) + 3
        coding = 15 + self.random.uniform(0, 2)
        medians = {
            "network": network,
            "entropy_coding": coding,
            "end_to_end": network + coding + 2,
        }
        if not trained:
            medians = {"network": network}
        times = [
            {
                "dataset": self.dataset,
                "height_px": 512,
                "width_px": 768,
                "precision": "float32",
                "stage": stage,
                "repeat": repeat,
                "decode_ms": median * self.random.uniform(0.97, 1.05),
            }
            for stage, median in medians.items()
            for repeat in range(self.repeats)
        ]
        result = {
            "arch_id": job.arch_id,
            "run_id": benchmark.run_id,
            "times": times,
        }
        return self._record(benchmark, "ok", None, result, hardware_id=hardware_id)

    def progress(self, job: TrainJob) -> Path:
        """An attempt at work."""
        path = job.folder(self.out) / "attempts" / "1" / "progress.json"
        value = {"step": 250, "steps": 500, "loss": 2.0, "bpp": 0.6, "updated_at": 0.0}
        write_json_atomically(path, value)
        return path

    def _record(
        self,
        job: Job,
        status: str,
        error: str | None,
        result: dict,
        git_sha: str = "abc1234",
        hardware_id: str = "c0ffee00c0ffee00",
        attempt: int = 1,
    ) -> Path:
        folder = job.folder(self.out)
        write_json_atomically(folder / "spec.json", job.to_dict(), durable=False)
        record = Record(
            stage=job.stage,
            job_id=job.job_id,
            status=status,
            attempt=attempt,
            error=error,
            seconds=70.0,
            result=result,
            environment={
                "git_sha": git_sha,
                "python_version": "3.11.9",
                "jax_version": "0.10.2",
                "flax_version": "0.12.8",
                "hardware_id": hardware_id,
                "hardware": HARDWARE[hardware_id],
            },
        )
        write_json_atomically(folder / "record.json", record.to_dict(), durable=False)
        return folder / "record.json"

    def _plan_row(self, job: TrainJob, name: str | None, counted: bool) -> dict:
        spec = job.architecture
        macs = cost(spec) * 1000 / 2
        shares = {"synthesis_transform": 0.7, "hyper_synthesis": 0.1}
        shares["slice_networks"] = 0.2
        components = [
            {
                "side": side,
                "component": component,
                "params": int(share * 2e7),
                "macs_per_px": share * macs,
            }
            for side, parts in (
                ("decode", shares),
                ("encode", {"analysis_transform": 1.2, **shares}),
            )
            for component, share in parts.items()
        ]
        counts = {
            "params_total": 25_000_000,
            "params_decoder": 20_000_000,
            "kmacs_per_px": macs / 1000,
            "kflops_per_px": macs / 500,
            "kmacs_per_px_encode": macs / 1000 * 1.3,
            "decoder_peak_bytes_per_px": 4.0 * 64,
            "components_json": json.dumps(components),
        }
        hyper = spec.hyper_transform
        return {
            "run_id": job.job_id,
            "arch_id": job.arch_id,
            "name": name,
            "family": spec.family,
            "transform": spec.transform.name,
            "entropy_model": spec.entropy_model.name,
            "hyper_transform": hyper.name if hyper else None,
            "config_json": canonical_json(spec.to_dict()),
            "train_json": canonical_json(job.train.to_dict()),
            "lmbda": job.train.lmbda,
            "steps": job.train.steps,
            "batch_size": job.train.batch_size,
            "crop_px": job.train.crop_px,
            "seed": job.train.seed,
            "data_sha256": job.data_sha256,
            **(counts if counted else dict.fromkeys(counts)),
        }

    def _write_sweep(self) -> None:
        write_json_atomically(
            self.out / "sweep.json",
            {
                "schema_version": 1,
                "grid": self.grid,
                "config": {"grid": {"name": self.grid}, "train": {"steps": 500}},
                "versions": {"rdc-frontier": "0.1.0", "jax": "0.10.2"},
                "git_sha": "abc1234",
                "hardware": HARDWARE["c0ffee00c0ffee00"],
                "created_at": "2026-01-02T03:04:05+00:00",
                "stages": ["plan", "complexity", "train", "evaluate", "gather"],
                "datasets": {"train": "bundled:train", "eval": "bundled:eval"},
            },
        )


def cost(spec: ArchitectureSpec) -> float:
    """Invented kFLOPs/px of the decoder: grows with the width."""
    width = spec.transform.to_dict()["channels"][1]
    factor = {"conv": 1.0, "elic": 1.4}[spec.transform.name]
    extra = 60 if spec.entropy_model.name == "charm" else 0
    return factor * width**2 / 200 + 10 + extra
