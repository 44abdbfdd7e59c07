"""What it costs to train one model for all rates instead of one for each.

`make bench` writes docs/results/variable_rate.md: one model of six rates against six
models of one rate, all of the same number of steps, on validation photographs. The
trainings lie in out/variable_rate and go on where they stopped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.bd_rate import bd_rate
from rdc.architectures import resolve
from rdc.codec import LearnedCodec
from rdc.complexity import count
from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.measurements import evaluate
from rdc.registry import parse_architecture
from rdc.specs.recipe import Recipe
from rdc.training import train
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "variable_rate.md"
OUT = REPOSITORY / "out" / "variable_rate"
COMMAND = (
    ".venv/bin/python -m pytest -m benchmark "
    "tests/benchmarks/test_rates_of_one_model.py"
)
LMBDAS = (0.0016, 0.0031, 0.00625, 0.0125, 0.025, 0.05)
ARCHITECTURE = parse_architecture(
    {
        "transform": {
            "name": "conv",
            "channels": [16, 36, 80],
            "latent_channels": 128,
        },
        "entropy_model": {"name": "mean_scale_hyperprior"},
        "hyper_transform": {
            "name": "conv",
            "analysis_channels": [64, 64, 64],
            "synthesis_channels": [96, 128],
        },
    }
)
RECIPE = Recipe(
    steps=2000,
    batch_size=2,
    crop_px=192,
    learning_rate=1e-3,
    warmup_steps=50,
    decay_start=0.3,
    start="principal_components",
    kernel_basis="frequencies",
)
CROP_PX = 384  # of the middle of every photograph


@pytest.mark.benchmark
@pytest.mark.timeout(14400)
def test_one_model_of_all_rates(shared_data: Path) -> None:
    images = []
    for path in list_images(shared_data / "val"):
        x = read_image(path)
        top, left = (x.shape[0] - CROP_PX) // 2, (x.shape[1] - CROP_PX) // 2
        crop = x[top : top + CROP_PX, left : left + CROP_PX]
        images.append((path.name, crop))
    one = curve(LMBDAS, shared_data, images)
    separate = [curve((lmbda,), shared_data, images)[0] for lmbda in LMBDAS]
    RESULTS.write_text(document(one, separate))
    print(RESULTS.read_text())


Point = tuple[float, float, float]  # bpp, PSNR in dB, RD loss: means over images


def curve(
    lmbdas: tuple[float, ...], shared_data: Path, images: list[tuple[str, np.ndarray]]
) -> list[Point]:
    """Trains one model, or goes on with it, and measures all of its rates."""
    folder = OUT / "_".join(f"{lmbda:g}" for lmbda in lmbdas)
    trained = train(
        ARCHITECTURE,
        RECIPE,
        lmbdas,
        shared_data / "train",
        folder,
        resume_from=[folder],
    )
    points = trained.spec.operating_points
    codec = LearnedCodec.of(trained.model, points, numerics="native")
    rows = evaluate(codec, images)
    found = []
    for point in points:
        of_rate = [row for row in rows if row.rate == point.rate]
        bpp = np.mean([row.bpp_coded for row in of_rate])
        psnr_db = np.mean([row.metrics["psnr_db"] for row in of_rate])
        mse = np.mean([row.metrics["mse_255"] for row in of_rate])
        found.append((float(bpp), float(psnr_db), float(bpp + point.lmbda * mse)))
    return found


def document(one: list[Point], separate: list[Point]) -> str:
    rows = "\n".join(
        f"| {lmbda:g} | {a[0]:.4f} | {a[1]:.2f} | {a[2]:.4f} | {b[0]:.4f} | {b[1]:.2f} "
        f"| {b[2]:.4f} | {100 * (a[2] / b[2] - 1):+.1f} % |"
        for lmbda, a, b in zip(LMBDAS, one, separate, strict=True)
    )
    difference = bd_rate(*columns(separate), *columns(one))
    architecture = resolve(ARCHITECTURE)
    cost = count(architecture).kflops_per_px
    return f"""# One model of all rates, or one for each

{architecture.family}, {cost:.1f} kFLOPs/px to decode; {RECIPE.steps} steps of
{RECIPE.batch_size} crops of {RECIPE.crop_px} px for every training: the model of all
rates has had as many as each of the six others, a sixth of them together. 22 validation
photographs, {CROP_PX} px of their middle, real bytes; means over images.

`{COMMAND}`

| lambda | one: bpp | dB | RD loss | separate: bpp | dB | RD loss | difference |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

BD-rate of the one model against the six (pchip, over the range of PSNR that both have):
**{difference:+.1f} %**; negative saves rate.
"""


def columns(points: list[Point]) -> tuple[list[float], list[float]]:
    return [p[0] for p in points], [p[1] for p in points]
