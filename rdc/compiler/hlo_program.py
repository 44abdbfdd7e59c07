"""What the instructions of a compiled program add up to, read from its text.

HloModule ...
%name (parameters) -> type {            a computation
  %a = f32[8]{0} fusion(%b), calls=...  an instruction
  %w = ... while(...), body=%name ...   runs another computation
}
ENTRY %main (...) -> ... {              what runs
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rdc.errors import DataError

OTHER = "other"  # instructions that belong to no component: copies, changes of layout

COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_CALLED = re.compile(
    r" (while|call|conditional)\(.*?(?:body|to_apply|branch_computations)="
    r"(?:\{([^}]*)\}|%?([\w.\-]+))"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclass
class _Computation:
    """Own costs by component, and what it calls: (names, how often)."""

    costs: dict[str, float] = field(default_factory=dict)
    calls: list[tuple[tuple[str, ...], int]] = field(default_factory=list)


def cost_by_component(
    text: str, components: Sequence[str], cost: Callable[[str], float]
) -> dict[str, float]:
    """Sums over what a compiled program runs.

    A loop counts as often as it runs, of branches the longest.

    Args:
      text: of the compiled program (`jax.stages.Compiled.as_text`).
      components: names of scopes (`jax.named_scope`); an instruction belongs to the
        first of them that its `op_name` has, or to `OTHER`.
      cost: of the line of one instruction, which calls no computation that runs by
        itself; 0: none.

    Raises:
      DataError: a loop of unknown length.
    """
    computations: dict[str, _Computation] = {}
    entry, current = "", _Computation()
    for line in text.splitlines():
        if header := COMPUTATION.match(line):
            current = computations.setdefault(header[2], _Computation())
            entry = header[2] if header[1] else entry
        elif called := _CALLED.search(line):
            names = (called[2] or called[3]).replace("%", "").split(", ")
            current.calls.append((tuple(names), _times(called[1], line)))
        elif own := cost(line):
            name = _component(line, components)
            current.costs[name] = current.costs.get(name, 0) + own
    return _total(entry, computations, {})


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
            "their cost cannot be estimated",
        )
    return int(trips[1])


def _total(
    name: str,
    computations: Mapping[str, _Computation],
    known: dict[str, dict[str, float]],
) -> dict[str, float]:
    if name in known:
        return known[name]
    computation = computations.get(name, _Computation())
    total = dict(computation.costs)
    for names, times in computation.calls:
        parts = [_total(called, computations, known) for called in names]
        longest = max(parts, key=lambda part: sum(part.values()))
        for component, own in longest.items():
            total[component] = total.get(component, 0) + times * own
    known[name] = total
    return total
