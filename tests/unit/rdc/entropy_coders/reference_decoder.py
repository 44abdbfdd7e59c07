"""A second decoder, written from docs/format.md alone: plain Python integers."""

from __future__ import annotations

import itertools
import math
import zlib
from bisect import bisect_right

MASK = 2**64 - 1


class ReferenceRangeDecoder:
    """The range decoder: 64-bit state, 32-bit words, 24-bit probabilities."""

    def __init__(self, stream: bytes):
        self.words = [
            int.from_bytes(stream[i : i + 4], "little")
            for i in range(0, len(stream), 4)
        ]
        self.position = 0
        self.lower, self.range = 0, MASK
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        self.position += 1
        past_end = self.position > len(self.words)
        return 0 if past_end else self.words[self.position - 1]

    def decode(self, frequencies: list[int]) -> int:
        cumulative = [0, *itertools.accumulate(frequencies)]
        assert cumulative[-1] == 2**24
        scale = self.range >> 24
        quantile = ((self.point - self.lower) & MASK) // scale
        assert quantile < 2**24
        entry = bisect_right(cumulative, quantile) - 1
        self.lower = (self.lower + scale * cumulative[entry]) & MASK
        self.range = scale * frequencies[entry]
        if self.range < 2**32:
            self.lower = self.lower << 32 & MASK
            self.range <<= 32
            self.point = (self.point << 32 & MASK) | self.word()
        return entry


def decode_portion(
    decoder: ReferenceRangeDecoder,
    table_index: list[int],
    tables: list[list[int]],
    offsets: list[int],
) -> list[int]:
    """The symbols of one portion of up to 2^18, in their own order."""
    symbols = [0] * len(table_index)
    escaped = []
    for table, frequencies in enumerate(tables):
        places = [i for i, t in enumerate(table_index) if t == table]
        size = len(frequencies)
        length = max(n for n in (1, 2, 4, 8) if n == 1 or size**n <= 256)
        joined = len(places) // length * length
        entries = []
        if length > 1 and joined:
            joint = joint_frequencies(frequencies, length)
            for _ in range(joined // length):
                number = decoder.decode(joint)
                entries += [
                    number // size ** (length - 1 - i) % size for i in range(length)
                ]
        scaled = [f << 8 for f in frequencies]
        entries += [decoder.decode(scaled) for _ in places[len(entries) :]]
        for place, entry in zip(places, entries, strict=True):
            symbols[place] = offsets[table] + entry
            if entry == size - 1:
                escaped.append((place, offsets[table], offsets[table] + size - 1))
    values = decode_values(decoder, len(escaped))
    for (place, first, end), value in zip(escaped, values, strict=True):
        below = value % 2
        symbols[place] = first - (value + 1) // 2 if below else end + value // 2
    return symbols


def joint_frequencies(frequencies: list[int], length: int) -> list[int]:
    joint = []
    for block in itertools.product(frequencies, repeat=length):
        joint.append(max(1, math.prod(block) * 2**24 // 2 ** (16 * length)))
    joint[joint.index(max(joint))] += 2**24 - sum(joint)
    return joint


def decode_values(decoder: ReferenceRangeDecoder, count: int) -> list[int]:
    if not count:
        return []
    frequencies = [max(2**24 >> (i + 1), 1) for i in range(33)]
    frequencies[0] += 2**24 - sum(frequencies)
    exponents = [decoder.decode(frequencies) for _ in range(count)]
    remainders = [0] * count
    for exponent in range(1, 33):
        members = [i for i, e in enumerate(exponents) if e == exponent]
        low, high = min(exponent, 16), max(exponent - 16, 0)
        for shift, bits in ((0, low), (16, high)):
            for i in members if bits else []:
                uniform = [2 ** (24 - bits)] * 2**bits
                remainders[i] += decoder.decode(uniform) << shift
    return [2**e + r - 1 for e, r in zip(exponents, remainders, strict=True)]


class ReferenceRansDecoder:
    """Interleaved rANS: lanes of 32 bits, bytes, 16-bit probabilities."""

    def __init__(self, stream: bytes):
        num_lanes = 1 << stream[0]
        self.states = [
            int.from_bytes(stream[i : i + 4], "little")
            for i in range(1, 1 + 4 * num_lanes, 4)
        ]
        self.bytes = iter(stream[1 + 4 * num_lanes :])

    def row(self, models: list[list[int]]) -> list[int]:
        """An entry for each of the first lanes, by the frequencies of each."""
        entries = []
        for lane, frequencies in enumerate(models):
            cumulative = [0, *itertools.accumulate(frequencies)]
            assert cumulative[-1] == 2**16
            high, slot = divmod(self.states[lane], 2**16)
            entry = bisect_right(cumulative, slot) - 1
            self.states[lane] = frequencies[entry] * high + slot - cumulative[entry]
            entries.append(entry)
            for _ in range(2):
                if self.states[lane] < 2**24:
                    self.states[lane] = self.states[lane] * 2**8 + next(self.bytes)
        return entries

    def decode_portion(
        self, table_index: list[int], tables: list[list[int]], offsets: list[int]
    ) -> list[int]:
        symbols, escaped, num_lanes = [], [], len(self.states)
        for i in range(0, len(table_index), num_lanes):
            row = table_index[i : i + num_lanes]
            for t, entry in zip(row, self.row([tables[t] for t in row]), strict=True):
                if entry == len(tables[t]) - 1:
                    escaped.append((len(symbols), offsets[t], offsets[t] + entry))
                symbols.append(offsets[t] + entry)
        exponents_model = [max(2**16 >> (i + 1), 1) for i in range(33)]
        exponents_model[0] += 2**16 - sum(exponents_model)
        for i in range(0, len(escaped), num_lanes):
            group = escaped[i : i + num_lanes]
            exponents = self.row([exponents_model] * len(group))
            low = self.row([uniform(min(e, 16)) for e in exponents])
            high = self.row([uniform(max(e - 16, 0)) for e in exponents])
            for (place, first, end), e, a, b in zip(
                group, exponents, low, high, strict=True
            ):
                value = 2**e + a + 2**16 * b - 1
                below = value % 2
                symbols[place] = first - (value + 1) // 2 if below else end + value // 2
        return symbols

    @property
    def is_at_end(self) -> bool:
        return next(self.bytes, None) is None and set(self.states) == {2**24}


def uniform(bits: int) -> list[int]:
    return [2 ** (16 - bits)] * 2**bits


def read_container(data: bytes) -> dict:
    """Fields of a `.rdc` file by name, and the payload."""
    assert data[:4] == b"\x8aRDC"
    assert zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    sides, position = [], 16
    for _ in range(2):
        value = shift = 0
        while data[position] >= 128:
            value += data[position] % 128 << shift
            shift += 7
            position += 1
        sides.append(value + (data[position] << shift))
        position += 1
    return {
        "version": data[4],
        "coder_id": data[5],
        "numerics_id": data[6],
        "rate": data[7],
        "model_id": data[8:16],
        "height_px": sides[0],
        "width_px": sides[1],
        "payload": data[position:-4],
    }
