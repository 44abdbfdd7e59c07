"""The models that come with the package, on Kodak, against JPEG, WebP and AVIF.

`make bench` writes a page each in docs/results/shipped_models and a picture.
With RDC_BENCHMARK_MODEL, a model folder, that one is measured and written beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.bd_rate import bd_rate
from rdc.codec import LearnedCodec
from rdc.codec.exported import ExportedModel, load_exported
from rdc.codec.model_folders import DEFAULT_MODEL, model_folder, shipped_models
from rdc.complexity import count
from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.entropy_coders.coders import CODERS
from rdc.measurements.evaluation import measured
from rdc.system.hardware import describe
from tests.benchmarks.shipped_models import classical
from tests.benchmarks.shipped_models.classical import AVIF, CODECS, JPEG, WEBP, Curve
from tests.benchmarks.shipped_models.ideal import CountingCoder
from tests.benchmarks.shipped_models.picture import draw
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "shipped_models"
PICTURES = REPOSITORY / "docs" / "images"
OTHER = os.environ.get("RDC_BENCHMARK_MODEL")
MODELS = [OTHER] if OTHER else shipped_models()
MEANS = ("bpp_coded", "bpp_estimated", "psnr_db", "ms_ssim", "mse_255")
COMMAND = (
    ".venv/bin/python -m pytest -m benchmark tests/benchmarks/test_shipped_models.py"
)


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("model", MODELS)
def test_model(model: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = list_images(shared_data / "kodak")
    assert len(paths) == 24
    images = {path.stem: read_image(path) for path in paths}
    counting = CountingCoder()
    monkeypatch.setitem(CODERS, "counting", counting)
    exported = load_exported(model_folder(model))
    codec = LearnedCodec(exported, coder="counting")
    rows = pd.DataFrame(
        measured(codec, name, x, point).to_dict()
        for name, x in images.items()
        for point in codec.operating_points
    )
    rows["ideal_bits"] = counting.ideal_bits
    rows["stream_bits"] = counting.stream_bits

    curves = {
        name: [classical.curve(name, x) for x in images.values()] for name in CODECS
    }
    own = [
        Curve(of.bpp_coded.to_numpy(), of.psnr_db.to_numpy()).rising()
        for _, of in rows.groupby("image", sort=False)
    ]
    differences = {name: rate_differences(own, curves[name]) for name in CODECS}
    means = rows.groupby("rate")[list(MEANS)].mean()
    mean_curve = Curve(means.bpp_coded.to_numpy(), means.psnr_db.to_numpy())
    of_means = {name: bd_of_means(mean_curve, curves[name]) for name in CODECS}
    name = Path(model).name
    page, picture = RESULTS / f"{name}.md", PICTURES / f"{name}_kodak.png"
    if OTHER:
        page, picture = (Path(f"{model.rstrip('/')}{end}") for end in (".md", ".png"))
    page.write_text(document(model, exported, rows, means, of_means, differences))
    draw(picture, name, mean_curve, curves, differences)

    assert (rows["stream_bits"] <= 1.001 * rows["ideal_bits"] + 64).all()
    over_estimate = means["bpp_coded"] / means["bpp_estimated"] - 1
    assert (over_estimate.abs() <= 0.005).all()
    assert differences[JPEG].mean() < 0


def rate_differences(own: list[Curve], theirs: list[Curve]) -> np.ndarray:
    """BD-rate of each image."""
    pairs = zip(own, (c.rising() for c in theirs), strict=True)
    return np.asarray([bd_rate(b.bpp, b.psnr_db, a.bpp, a.psnr_db) for a, b in pairs])


def bd_of_means(own: Curve, theirs: list[Curve]) -> float:
    """BD-rate of the means over images, at each setting."""
    bpp = np.mean([c.bpp for c in theirs], axis=0)
    psnr_db = np.mean([c.psnr_db for c in theirs], axis=0)
    mean = Curve(bpp, psnr_db).rising()
    return bd_rate(mean.bpp, mean.psnr_db, own.bpp, own.psnr_db)


def document(
    model: str,
    exported: ExportedModel,
    rows: pd.DataFrame,
    means: pd.DataFrame,
    of_means: dict[str, float],
    differences: dict[str, np.ndarray],
) -> str:
    """The page of a model."""
    size = sum(path.stat().st_size for path in model_folder(model).iterdir())
    hardware = describe()
    over_ideal = 100 * (rows["stream_bits"] / rows["ideal_bits"] - 1)
    over_estimate = 100 * (rows["bpp_coded"] / rows["bpp_estimated"] - 1)
    lmbdas = [point.lmbda for point in exported.operating_points]
    return "\n".join(
        [
            f"# The model `{Path(model).name}` on Kodak",
            "",
            f"{exported.model.spec.family}, "
            f"{count(exported.model.spec).kflops_per_px:.1f} kFLOPs/px to decode"
            f"{', the default model' if model == DEFAULT_MODEL else ''}; identity "
            f"{exported.identity}, {size / 1e6:.2f} MB. {training(exported)}",
            "",
            "24 images, numerics `exact`; every byte of a file counts. PSNR is of "
            "RGB in 8 bits, per",
            "image, then the mean.",
            "",
            "All figures of this page: `make bench`, or",
            f"`{COMMAND}`.",
            f"Machine: {hardware['host_cpu']}, JAX {hardware['jax_version']} on "
            f"{hardware['device_kind']}.",
            f"{classical.versions()}.",
            "",
            "![Rate and PSNR on Kodak, and the difference per image]"
            f"(../../images/{Path(model).name}_kodak.png)",
            "",
            "| rate | lambda | bpp | PSNR dB | MS-SSIM | RD loss at 0.0125 | file over "
            "estimate |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {row.Index + 1:g} | {lmbda:g} | {row.bpp_coded:.4f} "
                f"| {row.psnr_db:.2f} | {row.ms_ssim:.4f} "
                f"| {row.bpp_coded + 0.0125 * row.mse_255:.3f} "
                f"| {100 * (row.bpp_coded / row.bpp_estimated - 1):+.2f} % |"
                for lmbda, row in zip(lmbdas, means.itertuples(), strict=True)
            ),
            "",
            "## Rate at equal PSNR",
            "",
            "BD-rate (pchip over the whole common range of PSNR) against qualities "
            f"{classical.QUALITIES[0]}, {classical.QUALITIES[1]}, .. "
            f"{classical.QUALITIES[-1]}.",
            "Negative: our files are smaller. Huffman tables of JPEG are optimised; "
            "WebP is lossy, method 6;",
            "AVIF is 4:2:0, speed 6.",
            "",
            "| against | of the mean curves | mean over images | best image "
            "| worst image | images won |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {name} | {of_means[name]:+.1f} % | {d.mean():+.1f} % "
                f"| {d.min():+.1f} % | {d.max():+.1f} % "
                f"| {int((d < 0).sum())} of {d.size} |"
                for name, d in differences.items()
            ),
            "",
            "## Coded and ideal bits",
            "",
            "| images at all rates | mean | smallest | largest |",
            "| --- | --- | --- | --- |",
            spread("entropy-coded stream over ideal bits of the tables", over_ideal),
            spread("file over estimate", over_estimate),
            "",
            "A file can be below the estimate, because an escape costs less than the "
            "likelihood says",
            "([decision 009](../../decisions/009-escape-codes-and-estimates.md)), and "
            "a stream below the ideal",
            "bits, because a block of two rare symbols costs 24 bits at most "
            "([format](../../format.md)).",
            "",
            "## Images",
            "",
            f"| image | against {JPEG} | against {WEBP} | against {AVIF} |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name} | {differences[JPEG][i]:+.1f} % "
                f"| {differences[WEBP][i]:+.1f} % | {differences[AVIF][i]:+.1f} % |"
                for i, name in enumerate(rows["image"].unique())
            ),
            "",
        ]
    )


def spread(name: str, values: pd.Series) -> str:
    return (
        f"| {name} | {values.mean():+.3f} % | {values.min():+.3f} % "
        f"| {values.max():+.3f} % |"
    )


def training(exported: ExportedModel) -> str:
    """How the model was trained, by the record that it carries."""
    if "record" not in exported.provenance:
        return "It carries no training record."
    job, record = (exported.provenance[key] for key in ("job", "record"))
    recipe = job["model"]["recipe"]
    environment, start = record["environment"], job["model"].get("init_from")
    began = "" if start is None else f", from the weights of run {start}"
    rates = ", ".join(f"{point.lmbda:g}" for point in exported.operating_points)
    return (
        f"Trained for {recipe['steps']} steps of {recipe['batch_size']} crops of "
        f"{recipe['crop_px']} px at lambda {rates}{began},\n"
        f"{record['result']['summary']['train_seconds'] / 3600:.1f} hours on "
        f"{environment['hardware']['host_cpu']} "
        f"({environment['hardware']['device_kind']}), commit {environment['git_sha']}."
    )
