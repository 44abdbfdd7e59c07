"""Invented numbers of a sweep that never ran: architectures, costs, images, hardware.

Smooth in the width, and the same for the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rdc.identity import canonical_json
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import PLAN_FILE
from rdc.jobs.plan_row import Cost, PlanRow
from rdc.measurements.rows import ImageMeasurement
from rdc.registry import parse_architecture
from rdc.specs.components import ArchitectureSpec

HARDWARE = {
    "c0ffee00c0ffee00": {
        "hardware_id": "c0ffee00c0ffee00",
        "device_kind": "Example CPU, 2 cores",
        "platform": "cpu",
        "device_count": 1,
        "cpu_threads": 2,
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
        "cpu_threads": 2,
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


def image_measurement(
    name: str,
    bpp: float,
    psnr_db: float,
    rate: int = 0,
    setting: float | None = None,
) -> ImageMeasurement:
    return ImageMeasurement(
        image=name,
        rate=rate,
        setting=setting,
        height_px=512,
        width_px=768,
        bytes=int(bpp * 512 * 768 / 8),
        bpp_estimated=None if setting is not None else bpp * 0.998,
        bpp_coded=bpp,
        encode_ms=20.0,
        decode_ms=30.0,
        metrics={
            "psnr_db": psnr_db,
            "ms_ssim": None if name == "photo0.png" else 0.97,
            "mse_255": 255**2 / 10 ** (psnr_db / 10),
        },
    )


def curve_bpp(psnr_db: float) -> float:
    """A rate that doubles every four dB."""
    return 0.1 * 2 ** ((psnr_db - 24) / 4)


def write_plan(out: Path, rows: list[dict]) -> None:
    """Writes plan.parquet."""
    pq.write_table(pa.Table.from_pylist(rows), out / PLAN_FILE)


def plan_row(job: TrainJob, name: str | None = None, counted: bool = True) -> PlanRow:
    """The row of a run, with an invented cost."""
    model = job.model
    spec, recipe = model.architecture, model.recipe
    hyper = spec.hyper_transform
    return PlanRow(
        run_id=job.job_id,
        curve_id=model.curve_id,
        arch_id=job.arch_id,
        name=name,
        family=spec.family,
        transform=spec.transform.name,
        entropy_model=spec.entropy_model.name,
        hyper_transform=hyper.name if hyper else None,
        config_json=canonical_json(spec.to_dict()),
        recipe_json=canonical_json(recipe.to_dict()),
        rates=model.rates,
        init_from=model.init_from,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        crop_px=recipe.crop_px,
        seed=recipe.seed,
        distortion=recipe.distortion,
        precision=recipe.precision,
        data_sha256=model.data_sha256,
        **(invented_cost(spec).to_dict() if counted else {}),
    )


def invented_cost(spec: ArchitectureSpec) -> Cost:
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
    return Cost(
        params_total=25_000_000,
        params_decoder=20_000_000,
        kmacs_per_px=macs / 1000,
        kflops_per_px=macs / 500,
        kmacs_per_px_encode=macs / 1000 * 1.3,
        decoder_peak_bytes_per_px=4.0 * 64,
        components_json=json.dumps(components),
    )


def cost(spec: ArchitectureSpec) -> float:
    """Invented kFLOPs/px of the decoder: grows with the width."""
    width = spec.transform.to_dict()["channels"][1]
    factor = {"conv": 1.0, "elic": 1.4}[spec.transform.name]
    extra = 60 if spec.entropy_model.name == "charm" else 0
    return factor * width**2 / 200 + 10 + extra
