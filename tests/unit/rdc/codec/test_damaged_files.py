"""Damaged `.rdc` files through `LearnedCodec.decompress`: refused, and in bounded time.

Where the checksum is made to fit the damage again, an image may come out: then
somebody meant it, and all that counts is that nothing crashes or hangs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rdc.codec import BitstreamError, LearnedCodec
from rdc.codec.container import CODER_IDS, MAX_PIXELS, pack, unpack
from rdc.entropy_coders import tfc_coder
from tests.conftest import REPOSITORY
from tests.unit.rdc.entropy_coders.samples import damage

MAX_SECONDS = 5.0  # of processor time; a whole one takes some milliseconds
# Two of the model's 64 x 64 blocks: few shapes to compile, whatever a header says.
MAX_CODED_PIXELS = 2 * 64 * 64
SIZES = [(40, 60), (64, 64), (50, 100), (1, 1), (128, 30)]


@pytest.fixture(scope="module", params=["exact", "native"])
def codec(request: pytest.FixtureRequest, small_model_dir: Path) -> LearnedCodec:
    return LearnedCodec.load(
        small_model_dir, numerics=request.param, max_pixels=MAX_CODED_PIXELS
    )


@pytest.fixture(scope="module")
def files(codec: LearnedCodec) -> list[bytes]:
    """Whole files, each decoded once."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    found = [codec.compress(x) for x in images]
    for data, size in zip(found, SIZES, strict=True):
        assert codec.decompress(data).shape == (*size, 3)
    return found


def resealed(body: bytes) -> bytes:
    """A file whose checksum fits."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def outcome(codec: LearnedCodec, data: bytes) -> str:
    """Decodes; `refused` or `decoded`, everything else is an error."""
    started = time.process_time()
    try:
        x_hat = codec.decompress(data)
    except BitstreamError:
        result = "refused"
    else:
        header, _ = unpack(data)
        assert x_hat.dtype == np.uint8
        assert x_hat.shape == (header.height_px, header.width_px, 3)
        result = "decoded"
    assert time.process_time() - started < MAX_SECONDS, data.hex()
    return result


def test_every_damage_is_refused(codec: LearnedCodec, files: list[bytes]) -> None:
    random = np.random.default_rng(1)
    tried = 0
    while tried < 3000:
        one, other = random.choice(len(files), 2, replace=False)
        data = damage(files[one], files[other], random)
        if data in files:
            continue
        with pytest.raises(BitstreamError):
            codec.decompress(data)
        tried += 1


def test_foreign_files_are_refused(codec: LearnedCodec) -> None:
    random = np.random.default_rng(2)
    starts = (
        b"",
        b"\x8aRDC",
        b"\x8aRDC\x01\x01\x01",
        b"\x8aRDC\x02\x01\x01",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF",
    )
    for start, size in product(starts, (0, 1, 16, 27, 1000)):
        for _ in range(8):
            with pytest.raises(BitstreamError):
                codec.decompress(start + random.bytes(size))


def test_damage_under_a_fitting_checksum_ends(
    codec: LearnedCodec, files: list[bytes]
) -> None:
    random = np.random.default_rng(3)
    outcomes = {"refused": 0, "decoded": 0}
    while sum(outcomes.values()) < 1200:
        one, other = random.choice(len(files), 2, replace=False)
        body = damage(files[one][:-4], files[other][:-4], random)
        outcomes[outcome(codec, resealed(body))] += 1
    # Checksums of the slices and the end of the stream find most of it.
    assert outcomes["refused"] > 1000


def test_damaged_payloads_of_a_fitting_size_end(
    codec: LearnedCodec, files: list[bytes]
) -> None:
    """Headers and checksums of slices are whole: the symbols are at fault."""
    random = np.random.default_rng(4)
    outcomes = {"refused": 0, "decoded": 0}
    for trial in range(800):
        header, payload = unpack(files[trial % len(files)])
        changed = np.frombuffer(payload, np.uint8).copy()
        places = random.integers(2, changed.size, random.integers(1, 4))
        changed[places] ^= random.integers(1, 256, places.size).astype(np.uint8)
        outcomes[outcome(codec, pack(header, changed.tobytes()))] += 1
    assert outcomes["refused"] > 700


def test_headers_that_lie_are_refused_or_decoded(
    codec: LearnedCodec, files: list[bytes]
) -> None:
    fixed = 16  # bytes before the sizes
    numbers = [0, 1, 2, 63, 64, 65, 128, 129, 1 << 14, 1 << 28, (1 << 35) - 1]
    encoded = [varint(number) for number in numbers]
    encoded += [b"\x80\x00", b"\x80" * 5, b"\xff" * 9, b""]
    for data, height, width in product(files[:2], encoded, encoded):
        _, payload = unpack(data)
        outcome(codec, resealed(data[:fixed] + height + width + payload))
    for place, value in product((4, 5, 6, 7), range(256)):
        body = bytearray(files[0][:-4])
        body[place] = value
        outcome(codec, resealed(bytes(body)))


def test_a_stream_starts_no_process(
    codec: LearnedCodec, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second coder runs in one: for whoever named it, not for a stream."""
    monkeypatch.setenv(tfc_coder.ENVIRONMENT, sys.executable)  # one that would start

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a stream started a process")

    monkeypatch.setattr(subprocess, "Popen", started)
    for data in files:
        header, payload = unpack(data)
        asking = replace(header, coder_id=CODER_IDS["tfc"])
        for content in (payload, payload[:2], b""):
            with pytest.raises(BitstreamError, match="setting coder tfc"):
                codec.decompress(pack(asking, content))


@pytest.mark.parametrize("coder", [pytest.param("tfc", marks=pytest.mark.tfc), "rans"])
def test_damaged_streams_of_other_coders(small_model_dir: Path, coder: str) -> None:
    codec = LearnedCodec.load(small_model_dir, coder=coder, max_pixels=MAX_CODED_PIXELS)
    random = np.random.default_rng(5)
    images = [random.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(2)]
    one, other = (codec.compress(x) for x in images)
    refused = 0
    for _ in range(200):
        header, payload = unpack(one)
        payload = damage(payload, unpack(other)[1], random)
        refused += outcome(codec, pack(header, payload)) == "refused"
    assert refused > 100
    assert codec.decompress(one).shape == (40, 60, 3)


def test_huge_dimensions_cost_nothing(small_model_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(small_model_dir), str(MAX_PIXELS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["refused"] == found["tried"] == 8
    assert found["seconds"] < 1
    assert found["grown_mib"] < 32


# Peak memory is of the whole process, so this runs in one of its own.
HUGE = """
import json, resource, sys, time
import numpy as np
from rdc.codec import BitstreamError, LearnedCodec
from rdc.codec.container import Header, pack, unpack

codec = LearnedCodec.load(sys.argv[1])
header, payload = unpack(codec.compress(np.zeros((64, 64, 3), np.uint8)))
codec.decompress(pack(header, payload))

def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

limit = int(sys.argv[2])
sides = [(limit, 1), (1, limit), (1 << 14, 1 << 14), ((1 << 13) + 1, 1 << 13)]
before, started = peak_kib(), time.process_time()
tried = refused = 0
for height_px, width_px in sides:
    for content in (payload, bytes(len(payload))):
        huge = Header(
            model_id=header.model_id,
            height_px=height_px,
            width_px=width_px,
            numerics_id=header.numerics_id,
        )
        tried += 1
        try:
            codec.decompress(pack(huge, content))
        except BitstreamError:
            refused += 1
print(json.dumps({
    "tried": tried,
    "refused": refused,
    "seconds": time.process_time() - started,
    "grown_mib": (peak_kib() - before) / 1024,
}))
"""


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
