"""The `.rdc` file: a header, the payload, a checksum over both (docs/format.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from rdc.data.images import MAX_PIXELS
from rdc.errors import BitstreamError
from rdc.specs.coding import MAX_RATES, RATE_STEPS

MAGIC = b"\x8aRDC"
VERSION = 2  # 1: no rate
MODEL_ID_BYTES = 8

# What the header's bytes mean; a number is never used again for another meaning.
CODER_IDS = {"range": 1, "tfc": 2, "rans64": 3, "rans": 4}
NUMERICS_IDS = {"native": 0, "exact": 1}

_FIXED = struct.Struct(f"<4sBBBB{MODEL_ID_BYTES}s")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a decoder must know before it reads the payload.

    Attributes:
      model_id: 8 bytes of the model's identity.
      height_px, width_px: of the image, at least 1 each and at most 2^28 pixels.
      coder_id: of the entropy coder, see `CODER_IDS`.
      numerics_id: of the entropy parameters, see `NUMERICS_IDS`.
      rate: number of the model's operating point, or between two, in steps of 1/16.
    """

    model_id: bytes
    height_px: int
    width_px: int
    coder_id: int = CODER_IDS["range"]
    numerics_id: int = NUMERICS_IDS["native"]
    rate: float = 0

    def __post_init__(self) -> None:
        if not (
            len(self.model_id) == MODEL_ID_BYTES
            and min(self.height_px, self.width_px) >= 1
            and self.height_px * self.width_px <= MAX_PIXELS
            and 0 <= self.coder_id < 256
            and 0 <= self.numerics_id < 256
            and 0 <= self.rate * RATE_STEPS < 256
            and self.rate * RATE_STEPS % 1 == 0
        ):
            raise BitstreamError(
                f"a stream has a model of {MODEL_ID_BYTES} bytes, 1 to {MAX_PIXELS} "
                "pixels, a coder and numerics of one byte each, and a rate below "
                f"{MAX_RATES} in steps of 1/{RATE_STEPS}",
                self,
            )

    @classmethod
    def of(
        cls,
        codec_id: str,
        shape: tuple[int, ...],
        coder: str,
        numerics: str,
        rate: float,
    ) -> Header:
        """Of an image of this shape, [H,W,3]; coder and numerics by name."""
        return cls(
            model_id=bytes.fromhex(codec_id),
            height_px=shape[0],
            width_px=shape[1],
            coder_id=CODER_IDS[coder],
            numerics_id=NUMERICS_IDS[numerics],
            rate=rate,
        )

    @property
    def coder(self) -> str:
        """Name of the entropy coder.

        Raises:
          BitstreamError: none that this program knows.
        """
        return _name(CODER_IDS, "coder", self.coder_id)

    @property
    def numerics(self) -> str:
        """Name of the numerics; raises as `coder`."""
        return _name(NUMERICS_IDS, "numerics", self.numerics_id)


def pack(header: Header, payload: bytes) -> bytes:
    """The bytes of a file: 24 more than the payload for a Kodak image."""
    body = (
        _FIXED.pack(
            MAGIC,
            VERSION,
            header.coder_id,
            header.numerics_id,
            round(header.rate * RATE_STEPS),
            header.model_id,
        )
        + _varint(header.height_px)
        + _varint(header.width_px)
        + payload
    )
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack(data: bytes) -> tuple[Header, bytes]:
    """Header and payload of a file.

    Raises:
      BitstreamError: empty, foreign, of another version, truncated, or damaged in any
        byte. Nothing is allocated for the sizes that a damaged header states.
    """
    if not data.startswith(MAGIC):
        raise BitstreamError(
            "a stream begins with the .rdc mark",
            f"{len(data)} bytes that begin with {data[:4].hex() or 'nothing'}",
            "only files written by `rdc compress` can be decoded",
        )
    if len(data) <= len(MAGIC):
        raise _damaged(f"{len(data)} bytes")
    version = data[len(MAGIC)]
    if version != VERSION:
        raise BitstreamError(
            f"this program reads version {VERSION} of the format",
            f"version {version}",
            "decode it with the version of the program that wrote it, or compress the "
            "image again",
        )
    if len(data) < _FIXED.size + 2 + _CHECKSUM.size:
        raise _damaged(f"{len(data)} bytes")
    body, (checksum,) = data[:-4], _CHECKSUM.unpack(data[-4:])
    if zlib.crc32(body) != checksum:
        raise _damaged("another checksum")
    _, _, coder_id, numerics_id, rate, model_id = _FIXED.unpack_from(body)
    height, position = _read_varint(body, _FIXED.size)
    width, position = _read_varint(body, position)
    header = Header(
        model_id=model_id,
        height_px=height,
        width_px=width,
        coder_id=coder_id,
        numerics_id=numerics_id,
        rate=rate / RATE_STEPS,
    )
    return header, body[position:]


def check_writer(header: Header, codec_id: str) -> None:
    """Raises `BitstreamError` unless the codec with this id wrote the stream."""
    if header.model_id.hex() != codec_id:
        raise BitstreamError(
            "a bitstream is decoded with the model that wrote it",
            f"model {codec_id} for a stream of {header.model_id.hex()}",
            "name that model with the setting model",
        )


def nearest_rate(rate: float) -> float:
    """The rate nearest to `rate` that a file can name."""
    return round(rate * RATE_STEPS) / RATE_STEPS


def name_of(ids: Mapping[str, int], number: int) -> str | None:
    """The name that goes by a number; None where there is none."""
    return next((name for name, known in ids.items() if known == number), None)


def _name(ids: Mapping[str, int], what: str, number: int) -> str:
    name = name_of(ids, number)
    if name is None:
        raise BitstreamError(
            f"the stream's {what} is known",
            number,
            "use a newer version of this program",
        )
    return name


def _varint(value: int) -> bytes:
    """Seven bits a byte, low ones first; the top bit marks all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[position : position + 5]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise _damaged("a number without end")


def _damaged(found: str) -> BitstreamError:
    return BitstreamError(
        "a stream is whole and unchanged",
        found,
        "it was cut or altered: compress the image again or fetch the file again",
    )
