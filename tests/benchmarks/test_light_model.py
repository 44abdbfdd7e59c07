"""The model that comes with the package, on Kodak, against JPEG and WebP.

`make bench` writes docs/results/light_model.md and docs/images/light_kodak.png. With
RDC_BENCHMARK_MODEL, a model folder, another model is measured.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdc.codec import LearnedCodec
from rdc.codec.exported import ExportedModel, load_exported
from rdc.codec.model_folders import DEFAULT_MODEL, model_folder
from rdc.data.image_sets import list_images
from rdc.data.images import read_image
from rdc.entropy_coders.coders import CODERS
from rdc.measurements.evaluation import measured
from rdc.system.hardware import describe
from tests.benchmarks.light_model import classical
from tests.benchmarks.light_model.classical import CODECS, JPEG, WEBP, Curve
from tests.benchmarks.light_model.ideal import CountingCoder
from tests.benchmarks.light_model.picture import draw
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "light_model.md"
PICTURE = REPOSITORY / "docs" / "images" / "light_kodak.png"
MODEL = os.environ.get("RDC_BENCHMARK_MODEL")
COMMAND = ".venv/bin/python -m pytest -m benchmark tests/benchmarks/test_light_model.py"


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_light_model(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = list_images(shared_data / "kodak")
    assert len(paths) == 24
    images = [read_image(path) for path in paths]
    counting = CountingCoder()
    monkeypatch.setitem(CODERS, "counting", counting)
    exported = load_exported(model_folder(MODEL))
    codec = LearnedCodec(exported, coder="counting")
    (point,) = codec.operating_points
    names = [path.stem for path in paths]
    rows = pd.DataFrame(
        measured(codec, name, x, point).to_dict()
        for name, x in zip(names, images, strict=True)
    )
    rows["ideal_bits"] = counting.ideal_bits
    rows["stream_bits"] = counting.stream_bits
    native = LearnedCodec(exported, numerics="native")
    rows["native_bytes"] = [len(native.compress(x)) for x in images]

    curves = {name: [classical.curve(name, x) for x in images] for name in CODECS}
    differences = {name: rate_differences(rows, curves[name]) for name in CODECS}
    RESULTS.write_text(document(exported, rows, differences))
    bpp, psnr_db = rows["bpp_coded"].to_numpy(), rows["psnr_db"].to_numpy()
    draw(PICTURE, bpp, psnr_db, curves, differences)

    assert (rows["stream_bits"] <= 1.001 * rows["ideal_bits"] + 64).all()
    # Below is possible: escapes are cheaper than the likelihood floor (decision 009).
    over_estimate = rows["bpp_coded"].mean() / rows["bpp_estimated"].mean() - 1
    assert abs(over_estimate) <= 0.005
    assert differences[JPEG].mean() < 0


def rate_differences(rows: pd.DataFrame, curves: list[Curve]) -> np.ndarray:
    """Our rate over that of a codec at our PSNR, per image, in per cent less 100."""
    theirs = [c.bpp_at(psnr) for c, psnr in zip(curves, rows["psnr_db"], strict=True)]
    return 100 * (rows["bpp_coded"].to_numpy() / np.asarray(theirs) - 1)


def document(
    exported: ExportedModel, rows: pd.DataFrame, differences: dict[str, np.ndarray]
) -> str:
    """docs/results/light_model.md."""
    size = sum(path.stat().st_size for path in model_folder(MODEL).iterdir())
    hardware = describe()
    over_ideal = 100 * (rows["stream_bits"] / rows["ideal_bits"] - 1)
    over_estimate = 100 * (rows["bpp_coded"] / rows["bpp_estimated"] - 1)
    of_means = 100 * (rows["bpp_coded"].mean() / rows["bpp_estimated"].mean() - 1)
    of_exact = 100 * (rows["bytes"] / rows["native_bytes"] - 1)
    return "\n".join(
        [
            "# The model that comes with the package, on Kodak",
            "",
            f"Model `{MODEL or DEFAULT_MODEL}`, identity {exported.identity}, "
            f"{size / 1e6:.2f} MB. {training(exported)}",
            "",
            "24 images, numerics `exact`; every byte of a file counts. PSNR is of "
            "RGB in 8 bits, per",
            f"image, then the mean: {rows['bpp_coded'].mean():.4f} bpp, "
            f"{rows['psnr_db'].mean():.2f} dB PSNR, {rows['ms_ssim'].mean():.4f} "
            "MS-SSIM.",
            "",
            "All figures of this page: `make bench`, or",
            f"`{COMMAND}`.",
            f"Machine: {hardware['host_cpu']}, JAX {hardware['jax_version']} on "
            f"{hardware['device_kind']}. {classical.versions()}.",
            "",
            "![Rate and PSNR on Kodak, and the difference per image]"
            "(../images/light_kodak.png)",
            "",
            "## Rate at equal PSNR",
            "",
            "Per image, the log-rate of the other codec is interpolated over PSNR "
            "between its qualities",
            f"({classical.QUALITIES[0]}, {classical.QUALITIES[1]}, .. "
            f"{classical.QUALITIES[-1]}) at the PSNR of our stream. Negative: our file "
            "is smaller. Huffman tables of",
            "JPEG are optimised; WebP is lossy, method 6.",
            "",
            "| against | mean | best image | worst image | images won |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {name} | {d.mean():+.1f} % | {d.min():+.1f} % | {d.max():+.1f} % "
                f"| {int((d < 0).sum())} of {d.size} |"
                for name, d in differences.items()
            ),
            "",
            "## Coded and ideal bits",
            "",
            "| | mean | smallest | largest |",
            "| --- | --- | --- | --- |",
            spread("entropy-coded stream over ideal bits of the tables", over_ideal),
            spread("file over estimate, per image", over_estimate),
            f"| file over estimate, of the mean rates | {of_means:+.3f} % | | |",
            spread("`exact` over `native`, file", of_exact),
            "",
            "A file can be below the estimate, because an escape costs less than the "
            "likelihood floor",
            "([decision 009](../decisions/009-escape-codes-and-estimates.md)), and a "
            "stream below the ideal",
            "bits, because a block of two rare symbols costs 24 bits at most "
            "([format](../format.md)).",
            "",
            "## Images",
            "",
            f"| image | bpp | PSNR dB | against {JPEG} | against {WEBP} |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {row.image} | {row.bpp_coded:.4f} | {row.psnr_db:.2f} "
                f"| {differences[JPEG][i]:+.1f} % | {differences[WEBP][i]:+.1f} % |"
                for i, row in enumerate(rows.itertuples())
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
    # The model of the first release noted its recipe under "train".
    recipe = job["model"]["recipe"] if "model" in job else job["train"]
    environment = record["environment"]
    rates = ", ".join(f"{point.lmbda:g}" for point in exported.operating_points)
    return (
        f"Trained for {recipe['steps']} steps of {recipe['batch_size']} crops of "
        f"{recipe['crop_px']} px at lambda {rates},\n"
        f"{record['seconds'] / 3600:.1f} hours on "
        f"{environment['hardware']['host_cpu']} "
        f"({environment['hardware']['device_kind']}), commit {environment['git_sha']}."
    )
