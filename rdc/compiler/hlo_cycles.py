"""Cycles that XLA's TPU compiler writes beside the instructions of a program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rdc.errors import DataError

OTHER = "other"  # instructions that belong to no component: copies, changes of layout

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_CALLED = re.compile(
    r" (while|call|conditional)\(.*?(?:body|to_apply|branch_computations)="
    r"(?:\{([^}]*)\}|%?([\w.\-]+))"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclass
class _Computation:
    """Own cycles by component, and what it calls: (names, how often)."""

    cycles: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[tuple[str, ...], int]] = field(default_factory=list)


def cycles_by_component(text: str, components: Sequence[str]) -> dict[str, int]:
    """Sums of `estimated_cycles` over what a compiled program runs.

    Instructions inside of a fusion have no cycles of their own: the fusion has. A loop
    counts as often as it runs, of branches the longest.

    Args:
      text: of the compiled program (`jax.stages.Compiled.as_text`).
      components: names of scopes (`jax.named_scope`); an instruction belongs to the
        first of them that its `op_name` has, or to `OTHER`.

    Raises:
      DataError: a loop of unknown length, or no cycles anywhere.
    """
    computations, entry = _parsed(text, components)
    total = _total(entry, computations, {})
    if not total:
        raise DataError(
            "a program compiled for a TPU tells estimated cycles",
            "none in this one",
            "take the version of libtpu that JAX's extra `tpu` names",
        )
    return total


def _parsed(
    text: str, components: Sequence[str]
) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry, current = "", _Computation()
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            current = computations.setdefault(header[2], _Computation())
            entry = header[2] if header[1] else entry
            continue
        if called := _CALLED.search(line):
            names = (called[2] or called[3]).replace("%", "").split(", ")
            current.calls.append((tuple(names), _times(called[1], line)))
        elif cycles := _CYCLES.search(line):
            name = _component(line, components)
            current.cycles[name] = current.cycles.get(name, 0) + int(cycles[1])
    return computations, entry


def _component(line: str, components: Sequence[str]) -> str:
    found = _OP_NAME.search(line)
    parts = found[1].split("/") if found else []
    return next((name for name in components if name in parts), OTHER)


def _times(kind: str, line: str) -> int:
    if kind != "while":
        return 1
    trips = _TRIPS.search(line)
    if trips is None:
        raise DataError(
            "loops of a compiled program have a known length",
            line.strip()[:120],
            "their cycles cannot be estimated",
        )
    return int(trips[1])


def _total(
    name: str,
    computations: Mapping[str, _Computation],
    known: dict[str, dict[str, int]],
) -> dict[str, int]:
    if name in known:
        return known[name]
    computation = computations.get(name, _Computation())
    total = dict(computation.cycles)
    for names, times in computation.calls:
        parts = [_total(called, computations, known) for called in names]
        longest = max(parts, key=lambda part: sum(part.values()))
        for component, cycles in longest.items():
            total[component] = total.get(component, 0) + times * cycles
    known[name] = total
    return total
