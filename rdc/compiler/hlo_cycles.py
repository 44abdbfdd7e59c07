"""Cycles that XLA's TPU compiler writes beside the instructions of a program."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rdc.compiler.hlo_program import cost_by_component
from rdc.errors import DataError

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


def cycles_by_component(text: str, components: Sequence[str]) -> dict[str, int]:
    """Sums of `estimated_cycles` over what a compiled program runs.

    Instructions inside of a fusion have no cycles of their own: the fusion has.

    Args:
      text, components: as of `rdc.compiler.hlo_program.cost_by_component`.

    Raises:
      DataError: a loop of unknown length, or no cycles anywhere.
    """
    found = cost_by_component(text, components, _cycles)
    if not found:
        raise DataError(
            "a program compiled for a TPU tells estimated cycles",
            "none in this one",
            "take the version of libtpu that JAX's extra `tpu` names",
        )
    return {name: int(cycles) for name, cycles in found.items()}


def _cycles(line: str) -> int:
    cycles = _CYCLES.search(line)
    return int(cycles[1]) if cycles else 0
