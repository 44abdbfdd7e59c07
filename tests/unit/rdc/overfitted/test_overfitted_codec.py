"""`OverfittedCodec`: files, refusals, the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdc.cli import main
from rdc.codec import Codec
from rdc.codec.overfitted import OverfittedCodec
from rdc.errors import BitstreamError, ConfigError, DataError, ExitCode
from rdc.overfitted.identity import name_of
from rdc.overfitted.saved_search import FILE
from rdc.overfitted.schedule import Schedule
from rdc.overfitted.spec import PRESETS
from tests.conftest import REPOSITORY
from tests.unit.rdc.overfitted.conftest import SMALL

TIMEOUT_SECONDS = 900


def test_a_file_is_near_its_image_and_its_estimate(
    overfitted_codec: OverfittedCodec, x: np.ndarray
) -> None:
    encoded = overfitted_codec.encoded(x, 3)
    x_hat = overfitted_codec.decode(encoded.data)
    assert x_hat.shape == x.shape
    # A search of 40 steps; the mean colour alone is twice as far.
    assert np.mean(np.square(x_hat.astype(float) - x)) < 0.5 * np.var(x, (0, 1)).mean()
    assert encoded.bits_estimated is not None
    gap = 8 * len(encoded.data) - encoded.bits_estimated
    assert abs(gap) < 64 + 0.01 * encoded.bits_estimated


def test_stages_give_what_decoding_gives(
    overfitted_codec: OverfittedCodec, stream: bytes
) -> None:
    stages = overfitted_codec.decoding_stages([stream, stream])
    assert set(stages) == {"network", "entropy_coding", "end_to_end"}
    x_hat = overfitted_codec.decode(stream)
    np.testing.assert_array_equal(stages["network"](), [x_hat, x_hat])
    np.testing.assert_array_equal(stages["end_to_end"](), [x_hat, x_hat])


def test_another_process_decodes_the_same_pixels(
    overfitted_codec: OverfittedCodec, stream: bytes, tmp_path: Path
) -> None:
    """With vector instructions of another width, and without JAX."""
    (tmp_path / "a.rdc").write_bytes(stream)
    code = f"""
import sys, zlib
from rdc.codec.overfitted import OverfittedCodec
from tests.unit.rdc.overfitted.conftest import SMALL
x_hat = OverfittedCodec(SMALL).decode(open({str(tmp_path / "a.rdc")!r}, "rb").read())
assert "jax" not in sys.modules
print(zlib.crc32(x_hat.tobytes()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PATH": ""}
        | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        cwd=Path(__file__).parents[4],
    )
    assert done.returncode == 0, done.stderr
    expected = zlib.crc32(overfitted_codec.decode(stream).tobytes())
    assert int(done.stdout) == expected


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1, 3), (17, 2, 3)])
def test_small_images_are_coded(shape: tuple[int, ...]) -> None:
    codec = OverfittedCodec(SMALL, schedule=Schedule(steps=3))
    x = np.full(shape, 90, np.uint8)
    assert codec.decode(codec.encode(x)).shape == shape


def test_damaged_streams_are_refused(
    overfitted_codec: OverfittedCodec, stream: bytes
) -> None:
    for i in range(0, len(stream), 7):
        damaged = bytearray(stream)
        damaged[i] ^= 0x10
        with pytest.raises(BitstreamError):
            overfitted_codec.decode(bytes(damaged))
        # Past the checksum of the file, as a hostile writer would.
        body = bytes(damaged[:-4])
        with pytest.raises(BitstreamError):
            overfitted_codec.decode(
                body[:-5] + zlib.crc32(body[:-5]).to_bytes(4, "little")
            )
    with pytest.raises(BitstreamError):
        OverfittedCodec(PRESETS["overfitted_300"]).decode(stream)
    with pytest.raises(BitstreamError):
        Codec.load().decode(stream)


def test_sizes_and_points_are_checked(stream: bytes, x: np.ndarray) -> None:
    codec = OverfittedCodec(SMALL, max_pixels=100)
    with pytest.raises(DataError):
        codec.encode(x)
    with pytest.raises(BitstreamError):
        codec.decode(stream)
    for rate, effort in ((9, 0), (0, 4)):
        with pytest.raises(ConfigError):
            codec.encode(x[:5, :5], rate, effort)
    with pytest.raises(ConfigError):
        Codec.load("overfitted_1")
    with pytest.raises(ConfigError):
        Codec.load("overfitted_300", coder="tfc")


def test_codecs_are_known_by_name_and_identity() -> None:
    for name in PRESETS:
        codec = Codec.load(name)
        assert name_of(codec.codec_id) == name
        assert [p.lmbda for p in codec.operating_points] == list(PRESETS[name].lmbdas)
    assert name_of("0" * 16) is None


def test_an_interrupted_command_goes_on(x: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(x).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "rdc.cli", "compress"]
    command += [str(tmp_path / "a.png"), str(tmp_path / "a.rdc")]
    command += ["--model", "overfitted_300", "--effort", "1"]
    settings = {
        "cwd": REPOSITORY,
        "env": {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with subprocess.Popen(command, **settings) as first:
        assert first.stderr is not None
        assert "search: " in first.stderr.readline()
        first.send_signal(signal.SIGTERM)
        told = first.stderr.read()
    assert first.returncode == ExitCode.PREEMPTED
    assert "The same command goes on there." in told
    assert not (tmp_path / "a.rdc").exists()
    (state,) = (tmp_path / "cache").glob(f"*/searches/*/*/{FILE}")
    second = subprocess.run(command, check=True, timeout=TIMEOUT_SECONDS, **settings)
    assert "search resumed at step" in second.stderr
    assert not state.parents[1].exists()
    assert Codec.load("overfitted_300").decode((tmp_path / "a.rdc").read_bytes()).size


def test_decompress_finds_the_codec_by_the_stream(
    x: np.ndarray, tmp_path: Path
) -> None:
    from rdc.data.images import read_image

    codec = Codec.load("overfitted_300", schedule=Schedule(steps=3))
    data = codec.encode(x)
    (tmp_path / "a.rdc").write_bytes(data)
    assert main(["decompress", str(tmp_path / "a.rdc"), str(tmp_path / "a.png")]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), codec.decode(data))
