"""The `.rdc` file: small, exact, and refused when anything about it is off."""

import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdc.codec.container import CODER_IDS, NUMERICS_IDS, Header, pack, unpack
from rdc.codec.numerics import NUMERICS
from rdc.entropy_coders.coders import CODERS
from rdc.errors import BitstreamError, ExitCode
from tests.unit.rdc.entropy_coders.reference_decoder import read_container

MODEL = bytes(range(8))
KODAK = Header(model_id=MODEL, height_px=512, width_px=768)


def with_checksum(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@given(
    height=st.integers(1, 2**14),
    width=st.integers(1, 2**14),
    coder=st.integers(0, 255),
    numerics=st.integers(0, 255),
    sixteenths=st.integers(0, 255),
    payload=st.binary(max_size=50),
)
def test_round_trip(height, width, coder, numerics, sixteenths, payload):
    header = Header(
        model_id=MODEL,
        height_px=height,
        width_px=width,
        coder_id=coder,
        numerics_id=numerics,
        rate=sixteenths / 16,
    )
    data = pack(header, payload)
    assert unpack(data) == (header, payload)
    assert read_container(data) == {
        "version": 2, "coder_id": coder, "numerics_id": numerics, "rate": sixteenths,
        "model_id": MODEL, "height_px": height, "width_px": width, "payload": payload,
    }  # fmt: skip


def test_header_and_checksum_are_small():
    assert len(pack(KODAK, b"")) == 24


def test_any_flipped_bit_is_found():
    data = pack(KODAK, bytes(40))
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(BitstreamError):
            unpack(bytes(damaged))


def test_any_cut_is_found():
    data = pack(KODAK, bytes(40))
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            unpack(data[:length])


@pytest.mark.parametrize("extra", [b"\x00", b"\x00" * 4, b"more"])
def test_trailing_bytes_are_found(extra):
    with pytest.raises(BitstreamError, match="checksum"):
        unpack(pack(KODAK, b"payload") + extra)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8"])
def test_foreign_files(data):
    with pytest.raises(BitstreamError, match=r"\.rdc mark") as caught:
        unpack(data)
    assert caught.value.exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("version", [0, 3])
def test_other_versions(version):
    body = pack(KODAK, b"")[:-4]
    with pytest.raises(BitstreamError, match=f"version 2 .* got version {version}"):
        unpack(with_checksum(body[:4] + bytes([version]) + body[5:]))


@pytest.mark.parametrize("height", [1, 200])
def test_streams_of_version_1_are_refused_in_words(height):
    """The first format had no byte for the rate: as short as 21 bytes."""
    varint = bytes([height]) if height < 128 else bytes([height % 128 + 128, 1])
    data = with_checksum(b"\x8aRDC\x01\x01\x00" + MODEL + varint + b"\x05")
    with pytest.raises(BitstreamError, match=r"got version 1\. .*version of the prog"):
        unpack(data)


def test_names_of_the_numbers():
    """Every coder and every numerics of the program has a number of its own."""
    assert set(CODER_IDS) == {*CODERS, "rans64"}  # of overfitted codecs
    assert set(NUMERICS_IDS) == set(NUMERICS)
    for ids in (CODER_IDS, NUMERICS_IDS):
        assert len(set(ids.values())) == len(ids)
    assert (KODAK.coder, KODAK.numerics) == ("range", "native")


@pytest.mark.parametrize("field", ["coder", "numerics"])
def test_numbers_of_a_newer_program(field):
    header = replace(KODAK, **{f"{field}_id": 99})
    with pytest.raises(BitstreamError, match=f"{field} is known; got 99"):
        getattr(header, field)


@pytest.mark.parametrize(
    "sides", [b"\x00\x01", b"\xff\xff\xff\xff\x7f" * 2, b"\x80\x80\x80\x80\x02\x02"]
)
def test_impossible_sizes(sides):
    fixed = pack(KODAK, b"")[:16]
    with pytest.raises(BitstreamError, match="268435456 pixels"):
        unpack(with_checksum(fixed + sides))


def test_sizes_without_end():
    fixed = pack(KODAK, b"")[:16]
    with pytest.raises(BitstreamError, match="without end"):
        unpack(with_checksum(fixed + b"\xff" * 8))
