"""The payload of a file: checksum of the pixels, networks, latents.

| bytes | content |
| 4 | CRC-32 of the pixels, u8[H,W,3] |
| 1 per group | high half: bits of the step; low half: order of the Exp-Golomb code |
| .. | the numbers of the groups, Exp-Golomb, filled up with zero bits to a byte |
| .. | latents: 32-bit words of the coder, little-endian |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from rdc.errors import BitstreamError
from rdc.overfitted.integers import MAX_NUMBER, CodedNetworks
from rdc.overfitted.parameters import GROUPS, group_of, shapes
from rdc.overfitted.spec import OverfittedSpec

_CHECKSUM = struct.Struct("<I")
_MAX_ORDER = 15


@dataclass(frozen=True)
class Payload:
    """Sections of a file.

    Attributes:
      pixels_crc32: of what the decoder must give.
      words: u32[n] of the latents' stream.
    """

    pixels_crc32: int
    networks: CodedNetworks
    words: np.ndarray

    def pack(self, spec: OverfittedSpec) -> bytes:
        head = _CHECKSUM.pack(self.pixels_crc32)
        latents = self.words.astype("<u4").tobytes()
        return head + pack_networks(self.networks, spec) + latents

    @classmethod
    def unpack(cls, data: bytes, spec: OverfittedSpec) -> Payload:
        """Raises `BitstreamError` where sections do not fit."""
        if len(data) < _CHECKSUM.size:
            raise _cut(f"{len(data)} bytes")
        (checksum,) = _CHECKSUM.unpack_from(data)
        networks, size = unpack_networks(data[_CHECKSUM.size :], spec)
        latents = data[_CHECKSUM.size + size :]
        if len(latents) % 4 or len(latents) < 8:
            raise _cut(f"{len(latents)} bytes of latents")
        return cls(checksum, networks, np.frombuffer(latents, "<u4").astype(np.uint32))


def pack_networks(coded: CodedNetworks, spec: OverfittedSpec) -> bytes:
    """Steps, orders and numbers of all groups."""
    values = _by_group(coded, spec)
    orders = {group: best_order(v)[0] for group, v in values.items()}
    head = bytes(coded.step_bits[g] - 1 << 4 | orders[g] for g in GROUPS)
    bits = "".join(
        exp_golomb(n, orders[group]) for group, v in values.items() for n in v.tolist()
    )
    bits += "0" * (-len(bits) % 8)
    return head + int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]


def unpack_networks(data: bytes, spec: OverfittedSpec) -> tuple[CodedNetworks, int]:
    """Networks, and how many bytes they took.

    Raises:
      BitstreamError: they end too early, or hold what no encoder writes.
    """
    if len(data) < len(GROUPS):
        raise _cut(f"{len(data)} bytes")
    head = dict(zip(GROUPS, data, strict=False))
    reader = _BitReader(data[len(GROUPS) :])
    numbers = {}
    for name, shape in shapes(spec).items():
        order = head[group_of(name)] & 15
        count = int(np.prod(shape))
        values = [reader.number(order) for _ in range(count)]
        numbers[name] = np.array(values, np.int64).reshape(shape)
    step_bits = {group: (byte >> 4) + 1 for group, byte in head.items()}
    return CodedNetworks(step_bits, numbers), len(GROUPS) + reader.bytes_read


def network_bits(coded: CodedNetworks, spec: OverfittedSpec) -> int:
    """Of all numbers, each group at its best order."""
    return sum(best_order(v)[1] for v in _by_group(coded, spec).values())


def best_order(numbers: np.ndarray) -> tuple[int, int]:
    """(order, bits) of the Exp-Golomb code that takes fewest bits."""
    unsigned = _zigzag(numbers)
    lengths = []
    for order in range(_MAX_ORDER + 1):
        # order + 1 bits, and 2 more for every doubling of value / 2^order + 1.
        exponents = np.frexp((unsigned >> order) + 1.0)[1] - 1
        lengths.append(int(np.sum(2 * exponents + order + 1)))
    order = int(np.argmin(lengths))
    return order, lengths[order]


def exp_golomb(number: int, order: int) -> str:
    """Bits of a whole number: of 2 n, or of -2 n - 1 below zero."""
    value = (2 * number if number >= 0 else -2 * number - 1) + (1 << order)
    return "0" * (value.bit_length() - order - 1) + f"{value:b}"


def _zigzag(numbers: np.ndarray) -> np.ndarray:
    return np.where(numbers >= 0, 2 * numbers, -2 * numbers - 1)


def _by_group(coded: CodedNetworks, spec: OverfittedSpec) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {group: [] for group in GROUPS}
    for name in shapes(spec):
        found[group_of(name)].append(coded.numbers[name].ravel())
    return {
        group: np.concatenate(v) if v else np.empty(0, np.int64)
        for group, v in found.items()
    }


class _BitReader:
    def __init__(self, data: bytes):
        self._data = data
        self._position = 0

    @property
    def bytes_read(self) -> int:
        return -(-self._position // 8)

    def number(self, order: int) -> int:
        zeros = 0
        while not self._bit():
            zeros += 1
            if zeros > MAX_NUMBER.bit_length() + 1:
                raise _cut("a parameter of too many bits")
        value = 1
        for _ in range(zeros + order):
            value = value << 1 | self._bit()
        value -= 1 << order
        return -(value + 1) // 2 if value & 1 else value // 2

    def _bit(self) -> int:
        byte, bit = divmod(self._position, 8)
        if byte >= len(self._data):
            raise _cut("networks without end")
        self._position += 1
        return self._data[byte] >> (7 - bit) & 1


def _cut(found: str) -> BitstreamError:
    return BitstreamError(
        "a stream of an overfitted codec has all its sections",
        found,
        "it was cut or made by another program: fetch the file again",
    )
