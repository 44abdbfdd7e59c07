"""The models that come with the package: there, small, portable, better than JPEG."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.codec import LearnedCodec
from rdc.codec.model_folders import DEFAULT_MODEL, model_folder, shipped_models
from rdc.data.images import read_image
from rdc.errors import ConfigError
from rdc.measurements import metrics
from tests.elsewhere import decode_elsewhere, hash_of

SIZES = [(1, 1), (17, 33), (767, 513)]
# A stream of an earlier version of the program, and what it must decode to.
RECORDED = Path(__file__).parents[3] / "golden" / "streams"


@pytest.fixture(scope="module")
def codec() -> LearnedCodec:
    return LearnedCodec.load()


def test_all_are_small() -> None:
    files = [f for name in shipped_models() for f in model_folder(name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 8e6


@pytest.mark.parametrize("name", shipped_models())
def test_each_says_where_it_comes_from(name: str) -> None:
    provenance = LearnedCodec.load(name).provenance
    assert provenance["record"]["status"] == "ok"
    summary = provenance["record"]["result"]["summary"]
    assert provenance["job"]["model"]["recipe"]["steps"] == summary["steps"]


def test_unknown_models_are_named() -> None:
    with pytest.raises(ConfigError, match="best, light"):
        model_folder("lite")
    assert DEFAULT_MODEL in shipped_models()


def test_odd_sizes_and_photographs_decode_in_other_processes(
    codec: LearnedCodec, photographs: dict[str, list[Path]], tmp_path: Path
) -> None:
    """Bit for bit, with all threads and with one."""
    photograph = read_image(photographs["train"][-1])  # upright
    tall = np.tile(photograph, (2, 2, 1))[:767, :513]
    images = [tall[:height, :width] for height, width in SIZES] + [photograph]
    streams, expected = [], []
    for i, x in enumerate(images):
        encoded = codec.encoded(x)
        streams.append(tmp_path / f"{i}.rdc")
        streams[-1].write_bytes(encoded.data)
        expected.append(hash_of(encoded.y_hat))
    cores = os.sched_getaffinity(0)
    for some in (cores, {min(cores)}):
        other = decode_elsewhere(DEFAULT_MODEL, streams, some)
        assert other.stdout.split() == expected, other.stderr


def test_it_beats_jpeg_on_a_photograph(
    codec: LearnedCodec, photographs: dict[str, list[Path]]
) -> None:
    """`make bench` measures by how much, on all of Kodak."""
    x = read_image(photographs["eval"][0])
    data = codec.compress(x)
    x_hat = codec.decompress(data)
    buffer = io.BytesIO()
    for quality in range(95, 0, -1):
        buffer = io.BytesIO()
        Image.fromarray(x).save(buffer, "jpeg", quality=quality, optimize=True)
        if len(buffer.getvalue()) <= 1.1 * len(data):
            break
    jpeg = np.asarray(Image.open(buffer))
    assert metrics.psnr_db(x, x_hat) > metrics.psnr_db(x, jpeg)


@pytest.mark.parametrize("name", shipped_models())
def test_streams_of_earlier_versions_decode(name: str) -> None:
    """To the same latents, whatever device and version decodes now."""
    codec = LearnedCodec.load(name)
    decoded = codec.decoded((RECORDED / f"{name}.rdc").read_bytes())
    assert hash_of(decoded.y_hat) == (RECORDED / f"{name}.sha256").read_text().strip()
