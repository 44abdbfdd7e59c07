"""Cycles read from the text of a compiled program, as libtpu 0.0.42 writes it."""

from __future__ import annotations

import gzip

import pytest

from rdc.compiler import decoder
from rdc.compiler.hlo_cycles import cycles_by_component
from rdc.compiler.hlo_program import OTHER
from rdc.errors import DataError
from tests.conftest import REPOSITORY

COMPONENTS = ("hyper_synthesis", "synthesis_transform")
# The decoder of a small conv/charm for 64 x 96 pixels, as libtpu 0.0.42.1 compiles it
# for a v5e; names of files and stack frames are left out.
DECODER = REPOSITORY / "tests" / "data" / "compiled" / "small_v5e.hlo.gz"


def test_a_real_decoder() -> None:
    text = gzip.decompress(DECODER.read_bytes()).decode()
    assert cycles_by_component(text, decoder.COMPONENTS) == {
        "hyper_synthesis": 60_762,
        "entropy_model": 92_306,
        "synthesis_transform": 168_310,
        OTHER: 10_201,
    }


def instruction(name: str, cycles: int, op_name: str | None, rest: str = "") -> str:
    metadata = f', metadata={{op_name="{op_name}" stack_frame_id=1}}' if op_name else ""
    return (
        f"  %{name} = f32[8]{{0:T(128)}} fusion(%p), kind=kLoop, calls=%inner{metadata}"
        f', backend_config={{"window_config":{{"estimated_cycles":"{cycles}"}}}}{rest}'
    )


INNER = [
    "%inner (p.1: f32[8]) -> f32[8] {",
    # Inside of a fusion: no cycles of its own, whatever stands there.
    instruction("a", 1_000_000, "jit(decode)/hyper_synthesis/add"),
    "}",
]
ENTRY = "ENTRY %main.1 (state.1: f32[192], symbols_0_.1: f32[1,8,12,192]) -> u8[8] {"


def program(*lines: str, computations: tuple[str, ...] = ()) -> str:
    return "\n".join(["HloModule m", *INNER, *computations, ENTRY, *lines, "}"])


def test_instructions_belong_to_the_scope_in_their_name() -> None:
    text = program(
        instruction("b", 10, "jit(decode)/hyper_synthesis/conv_general_dilated"),
        instruction("c", 5, "jit(decode)/hyper_synthesis/max"),
        instruction("d", 7, "jit(decode)/synthesis_transform/add"),
        instruction("e", 3, "jit(decode)/no_hyper_synthesis/add"),
        instruction("f", 2, None),
    )
    assert cycles_by_component(text, COMPONENTS) == {
        "hyper_synthesis": 15,
        "synthesis_transform": 7,
        OTHER: 5,
    }


def loop(trips: str) -> str:
    return (
        "  %while.1 = (s32[], f32[8]) while(%tuple), condition=%cond.1, body=%body.1, "
        f'metadata={{op_name="jit(decode)/while"}}, backend_config={{{trips}}}'
    )


BODY = (
    "%body.1 (arg: (s32[], f32[8])) -> (s32[], f32[8]) {",
    instruction("g", 4, "jit(decode)/synthesis_transform/mul"),
    "}",
)


def test_a_loop_counts_as_often_as_it_runs() -> None:
    trips = '"known_trip_count":{"n":"6"}'
    text = program(loop(trips), instruction("h", 1, None), computations=BODY)
    assert cycles_by_component(text, COMPONENTS) == {
        "synthesis_transform": 24,
        OTHER: 1,
    }


def test_a_loop_of_unknown_length_is_refused() -> None:
    with pytest.raises(DataError, match="known length"):
        cycles_by_component(program(loop(""), computations=BODY), COMPONENTS)


def test_of_branches_the_longest_counts() -> None:
    branches = (
        "%short (p: f32[8]) -> f32[8] {",
        instruction("i", 3, "jit(decode)/hyper_synthesis/add"),
        "}",
        "%long (p: f32[8]) -> f32[8] {",
        instruction("j", 9, "jit(decode)/synthesis_transform/add"),
        "}",
    )
    text = program(
        "  %conditional.1 = f32[8] conditional(%i, %p, %p), "
        "branch_computations={%short, %long}",
        computations=branches,
    )
    assert cycles_by_component(text, COMPONENTS) == {"synthesis_transform": 9}


def test_a_text_without_cycles_is_refused() -> None:
    with pytest.raises(DataError, match="tells estimated cycles"):
        cycles_by_component(program("  %k = f32[8] add(%p, %p)"), COMPONENTS)
