"""Every family on Kodak and odd sizes, decoded by other processes, 1 and all threads.

The same laws as in tests/unit/rdc/codec/test_codec.py, on whole images: minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rdc.architectures import build
from rdc.codec import Codec
from rdc.codec.exported import export
from rdc.data.images import read_image
from rdc.specs.coding import OperatingPoint
from tests.architectures import ALL
from tests.elsewhere import decode_elsewhere, hash_of

SIZES = [(1, 1), (17, 33), (767, 513), (512, 768)]
# Of every pair of transform and entropy model one, and both hyper-transforms.
FAMILIES = [n for n in ALL if n.endswith("None")] + [
    "conv-scale_hyperprior-conv",
    "conv-mean_scale_hyperprior-swint",
    "conv-charm-conv",
    "conv-charm2020-swint",
    "elic-scale_hyperprior-swint",
    "elic-mean_scale_hyperprior-conv",
    "elic-charm-swint",
    "elic-charm2020-conv",
    "swint-scale_hyperprior-conv",
    "swint-mean_scale_hyperprior-conv",
    "swint-charm-conv",
    "swint-charm2020-swint",
]


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_elsewhere(family: str, shared_data: Path, tmp_path: Path) -> None:
    model = build(ALL[family], seed=1)
    for layer in model.analysis_transform.layers[-2:]:  # random, but lively latents
        for part in (layer, getattr(layer, "dense", None)):
            if hasattr(part, "kernel"):
                part.kernel.set_value(part.kernel[...] * 20)
    export(model, tmp_path / "model", {}, (OperatingPoint(),))
    wide = read_image(shared_data / "kodak/kodim23.png")
    tall = np.tile(wide, (2, 1, 1))
    cores = os.sched_getaffinity(0)
    for numerics in ("exact", "native"):
        codec = Codec.load(tmp_path / "model", numerics=numerics)
        streams, expected = [], []
        for height, width in SIZES:
            encoded = codec.encoded(tall[:height, :width])
            streams.append(tmp_path / f"{numerics}-{height}x{width}.rdc")
            streams[-1].write_bytes(encoded.data)
            expected.append(hash_of(encoded.y_hat))
        for some in (cores, {min(cores)}):
            other = decode_elsewhere(tmp_path / "model", streams, some)
            refused = "computes the entropy parameters" in other.stderr
            if not (numerics == "native" and some != cores and refused):
                assert other.stdout.split() == expected, other.stderr
