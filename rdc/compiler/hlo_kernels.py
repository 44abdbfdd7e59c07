"""How long the kernels of a program compiled for a GPU take at least: its roofline.

A kernel is one instruction of the compiled program: a fusion, a library call, a copy.
It moves its operands and results through memory once, and the products in it run on the
matrix units; the longer of both is its least time. Real kernels reach a part of both
rates, and each has to be started: that is not in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rdc.compiler.hlo_program import COMPUTATION, cost_by_component

_BITS = {"pred": 8, "s4": 4, "u4": 4}
_ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
_NO_KERNEL = frozenset(
    ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all")
)
_NAME = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = ")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_CONTRACTING = re.compile(r'lhs_contracting_dim(?:s=\{|ensions":\[)"?([\d,"]*)')
_CALLS = re.compile(r"calls=%?([\w.\-]+)")

Array = tuple[str, tuple[int, ...]]  # type of its numbers, shape


def seconds_by_component(
    text: str,
    components: Sequence[str],
    flops_per_second: float,
    bytes_per_second: float,
) -> dict[str, float]:
    """The least time of what a compiled program runs.

    Args:
      text, components: as of `rdc.compiler.hlo_program.cost_by_component`.
      flops_per_second: of products on the matrix units, 2 for a multiply-accumulate.
      bytes_per_second: of the device's memory.

    Raises:
      DataError: a loop of unknown length.
    """
    kernels = _Kernels(text)

    def seconds(line: str) -> float:
        return max(
            kernels.flops(line) / flops_per_second,
            kernels.moved_bytes(line) / bytes_per_second,
        )

    return cost_by_component(text, components, seconds)


class _Kernels:
    """Products and traffic of single instructions of a program."""

    def __init__(self, text: str):
        self._arrays: dict[str, list[Array]] = {}
        self._inside: dict[str, float] = {}  # products of called computations
        computation = ""
        for line in text.splitlines():
            if header := COMPUTATION.match(line):
                computation = header[2]
            elif name := _NAME.match(line):
                kind, _, _ = _parts(line)
                self._arrays[name[1]] = _parsed(kind)
                own = self._own_flops(line)
                self._inside[computation] = self._inside.get(computation, 0) + own

    def flops(self, line: str) -> float:
        """Of products, those of a fusion's computation included."""
        if _NAME.match(line) is None:
            return 0.0
        called = _CALLS.search(line)
        inside = self._inside.get(called[1], 0.0) if called else 0.0
        return self._own_flops(line) + inside

    def moved_bytes(self, line: str) -> float:
        """Operands and results, each once; the workspace of a library is neither."""
        if _NAME.match(line) is None:
            return 0.0
        kind, opcode, operands = _parts(line)
        if opcode in _NO_KERNEL:
            return 0.0
        results = _parsed(kind)[:1] if opcode == "custom-call" else _parsed(kind)
        read = [
            a for name in dict.fromkeys(operands) for a in self._arrays.get(name, [])
        ]
        return sum(_size(array) for array in (*results, *read))

    def _own_flops(self, line: str) -> float:
        kind, opcode, operands = _parts(line)
        arrays = [self._arrays.get(name, [("f32", ())])[0] for name in operands]
        result = _parsed(kind)
        if labels := _LABELS.search(line):
            return _convolution_flops(line, labels, result[0][1], arrays)
        contracting = _CONTRACTING.search(line)
        if contracting and (opcode == "dot" or "__cublas" in line):
            dims = [int(d) for d in contracting[1].replace('"', "").split(",") if d]
            depth = math.prod(arrays[0][1][d] for d in dims)
            return 2.0 * math.prod(result[0][1]) * depth
        return 0.0


def _convolution_flops(
    line: str, labels: re.Match[str], result: tuple[int, ...], operands: list[Array]
) -> float:
    """2 x kernel x positions of what the forward convolution gives.

    cuDNN's calls for gradients have that as an operand: of the input's, the first, with
    the kernel after it; of the kernel's, the second, and the kernel is their result.
    """
    first, second = operands[0][1], operands[1][1]
    outputs, kernel = result, second
    if "convBackwardInput" in line:
        outputs = first
    elif "convBackwardFilter" in line:
        outputs, kernel = second, result
    positions = [
        size for label, size in zip(labels[3], outputs, strict=True) if label != "f"
    ]
    return 2.0 * math.prod(kernel) * math.prod(positions)


def _parts(line: str) -> tuple[str, str, list[str]]:
    """(type, opcode, names of operands) of an instruction."""
    text = line.split(" = ", 1)[1]
    end = text.index(") ") + 1 if text.startswith("(") else text.index(" ")
    kind, rest = text[:end], text[end:].strip()
    opcode, _, rest = rest.partition("(")
    return kind, opcode, re.findall(r"%([\w.\-]+)", rest[: _closing(rest)])


def _closing(text: str) -> int:
    """Of the bracket that was open before `text`."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place
    return len(text)


def _parsed(kind: str) -> list[Array]:
    return [
        (name, tuple(int(size) for size in sizes.split(",") if size))
        for name, sizes in _ARRAY.findall(kind)
    ]


def _size(array: Array) -> float:
    name, shape = array
    digits = re.search(r"\d+", name)
    bits = _BITS.get(name) or (int(digits[0]) if digits else 0)
    return math.prod(shape) * bits / 8
