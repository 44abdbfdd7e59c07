"""What encoder effort saves and costs: the default model on whole Kodak images.

`make bench` writes docs/results/effort.md.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdc.codec import LearnedCodec
from rdc.codec.model_folders import DEFAULT_MODEL
from rdc.codec.refinement import SEARCHES
from rdc.data.images import read_image
from rdc.measurements import metrics
from rdc.system.hardware import describe
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results" / "effort.md"
COMMAND = ".venv/bin/python -m pytest -m benchmark tests/benchmarks/test_effort.py"
IMAGES = ("kodim04", "kodim08", "kodim15", "kodim20")  # one upright; dense and smooth
EFFORTS = range(len(SEARCHES) + 1)


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
def test_effort_on_kodak(shared_data: Path) -> None:
    codec = LearnedCodec.load()
    rate = codec.rate_of(None)
    lmbda = codec.lmbda_of(rate)
    assert lmbda is not None
    compiled = set()
    rows = []
    for name in IMAGES:
        x = read_image(shared_data / "kodak" / f"{name}.png")
        if x.shape not in compiled:
            codec.encode(x, rate, effort=1)
            compiled.add(x.shape)
        for effort in EFFORTS:
            rows.append({"image": name, **measured(codec, x, rate, lmbda, effort)})
    table = pd.DataFrame(rows)
    RESULTS.write_text(document(codec, lmbda, table))
    losses = table.pivot(index="image", columns="effort", values="loss")
    assert (losses.diff(axis=1).iloc[:, 1:].mean() < 0).all()  # each finds more


def measured(
    codec: LearnedCodec, x: np.ndarray, rate: float, lmbda: float, effort: int
) -> dict:
    wall, cpu = time.perf_counter(), time.process_time()
    data = codec.encode(x, rate, effort)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    x_hat = codec.decode(data)
    bpp = 8 * len(data) / (x.shape[0] * x.shape[1])
    mse = metrics.mse_255(x, x_hat)
    return {
        "effort": effort,
        "bpp": bpp,
        "psnr_db": metrics.psnr_db(x, x_hat),
        "loss": bpp + lmbda * mse,
        "wall_s": wall,
        "cpu_s": cpu,
    }


def document(codec: LearnedCodec, lmbda: float, table: pd.DataFrame) -> str:
    hardware = describe()
    plain = table[table.effort == 0].set_index("image")
    plain_of_row = plain.loc[table.image].reset_index()
    table = table.assign(
        loss_percent=100 * (table.loss / plain_of_row.loss - 1),
        # A small step along the curve trades bits for error at the slope -lambda.
        rate_percent=100 * (table.loss - plain_of_row.loss) / plain_of_row.bpp,
    )
    means = table.drop(columns="image").groupby("effort").mean()
    steps = [0, *(search.steps for search in SEARCHES)]
    return "\n".join(
        [
            "# What encoder effort saves and costs",
            "",
            f"Model `{DEFAULT_MODEL}`, identity {codec.codec_id}, lambda {lmbda:g}, "
            "numerics `exact`; whole images",
            f"{', '.join(IMAGES)}, compiled. All from real bytes and the decoder's "
            "pixels; the decoder and",
            "the format are the same for every effort. Command:",
            f"`{COMMAND}`",
            f"(also `make bench`). Machine: {hardware['host_cpu']}, JAX "
            f"{hardware['jax_version']} on {hardware['platform']}.",
            "",
            "Rate at equal PSNR is the RD loss saved over the rate: at the operating "
            "point, bits and error are",
            "exchanged at lambda. CPU seconds are of all threads of the process.",
            "",
            "| effort | steps | bpp | PSNR dB | RD loss | RD loss saved "
            "| rate at equal PSNR | CPU s per image |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {effort} | {steps[effort]} | {row.bpp:.4f} | {row.psnr_db:.2f} "
                f"| {row.loss:.4f} | {row.loss_percent:+.2f} % "
                f"| {row.rate_percent:+.2f} % | {row.cpu_s:.1f} |"
                for effort, row in zip(means.index, means.itertuples(), strict=True)
            ),
            "",
            "## Images",
            "",
            "| image | effort | bpp | PSNR dB | RD loss saved | CPU s | wall s |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {row.image} | {row.effort} | {row.bpp:.4f} | {row.psnr_db:.2f} "
                f"| {row.loss_percent:+.2f} % | {row.cpu_s:.1f} | {row.wall_s:.1f} |"
                for row in table.itertuples()
            ),
            "",
        ]
    )
