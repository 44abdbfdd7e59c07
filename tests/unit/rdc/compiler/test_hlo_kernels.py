"""Rooflines of kernels, read from the text of programs compiled for GPUs."""

from __future__ import annotations

import gzip

import pytest

from rdc.compiler.decoder import COMPONENTS
from rdc.compiler.hlo_kernels import seconds_by_component
from rdc.compiler.hlo_program import OTHER
from rdc.complexity import count
from tests.conftest import REPOSITORY

# The decoder of `rdc_g` for 512 x 768 pixels, as jax-cuda12-plugin 0.10.2 compiles it
# for an A100; names of files and stack frames are left out.
DECODER = REPOSITORY / "tests" / "data" / "compiled" / "rdc_g_a100.hlo.gz"
NO_LIMIT = 1e30


def program(*lines: str, computations: tuple[str, ...] = ()) -> str:
    entry = "ENTRY %main (p.1: f32[8,4]) -> f32[8,16] {"
    return "\n".join(["HloModule m", *computations, entry, *lines, "}"])


def flops(text: str) -> float:
    return sum(seconds_by_component(text, (), 1.0, NO_LIMIT).values())


def moved(text: str) -> float:
    return sum(seconds_by_component(text, (), NO_LIMIT, 1.0).values())


def test_products_of_a_real_decoder_are_those_that_are_counted() -> None:
    text = gzip.decompress(DECODER.read_bytes()).decode()
    found = seconds_by_component(text, COMPONENTS, 1.0, NO_LIMIT)
    pixels = 512 * 768
    counted = count("rdc_g")
    assert sum(found.values()) / pixels / 1e3 == pytest.approx(counted.kflops_per_px)
    for part in counted.by_component:
        if part.side == "decode" and part.macs_per_px:
            own = found[part.component] / pixels
            assert own == pytest.approx(2 * part.macs_per_px), part.component


def test_a_real_decoder_takes_the_longer_of_products_and_traffic_kernel_by_kernel() -> (
    None
):
    text = gzip.decompress(DECODER.read_bytes()).decode()
    rates = 156e12, 2.039e12
    both = sum(seconds_by_component(text, COMPONENTS, *rates).values())
    products, traffic = flops(text) / rates[0], moved(text) / rates[1]
    assert max(products, traffic) < both < products + traffic
    # Weights, symbols and image alone.
    assert moved(text) > 25_185_740


PARAMETERS = (
    "  %p.1 = f32[8,4]{1,0} parameter(0)",
    "  %p.2 = bf16[4,16]{1,0} parameter(1)",
)


def test_a_fusion_has_the_products_inside_and_moves_what_goes_in_and_out() -> None:
    inner = (
        "%gemm (a.1: f32[8,4], b.1: bf16[4,16]) -> f32[8,16] {",
        "  %a.1 = f32[8,4]{1,0} parameter(0)",
        "  %b.1 = bf16[4,16]{1,0} parameter(1)",
        "  %dot.1 = f32[8,16]{1,0} dot(%a.1, %b.1), lhs_contracting_dims={1}, "
        "rhs_contracting_dims={0}",
        "  ROOT %tanh.1 = f32[8,16]{1,0} tanh(%dot.1)",
        "}",
    )
    text = program(
        *PARAMETERS,
        "  ROOT %f = f32[8,16]{1,0} fusion(%p.1, %p.2), kind=kCustom, calls=%gemm",
        computations=inner,
    )
    assert flops(text) == 2 * 8 * 16 * 4
    assert moved(text) == 4 * 8 * 4 + 2 * 4 * 16 + 4 * 8 * 16


def test_a_library_call_moves_no_workspace() -> None:
    text = program(
        *PARAMETERS,
        "  %c = (f32[8,16]{1,0}, s8[4194304]{0}) custom-call(%p.1, %p.2), "
        'custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":'
        '{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
        '"rhs_contracting_dimensions":["0"]}}}',
        "  ROOT %g = f32[8,16]{1,0} get-tuple-element(%c), index=0",
    )
    assert flops(text) == 2 * 8 * 16 * 4
    assert moved(text) == 4 * 8 * 4 + 2 * 4 * 16 + 4 * 8 * 16


# A convolution of 5 inputs to 7 outputs on 6 x 6 positions, stride 2, and its
# gradients: the same products each.
IMAGE, KERNEL, OUTPUT = (
    "f32[2,5,12,12]{3,2,1,0}",
    "f32[7,5,3,3]{3,2,1,0}",
    "f32[2,7,6,6]",
)
CALLS = {
    "convForward": (OUTPUT, IMAGE, KERNEL),
    "convBackwardInput": (IMAGE, OUTPUT, KERNEL),
    "convBackwardFilter": (KERNEL, IMAGE, OUTPUT),
}


@pytest.mark.parametrize("call", CALLS)
def test_convolutions_and_their_gradients_have_equal_products(call: str) -> None:
    result, first, second = CALLS[call]
    text = program(
        f"  %a = {first} parameter(0)",
        f"  %b = {second} parameter(1)",
        f"  %c = ({result}, u8[0]{{0}}) custom-call(%a, %b), window={{size=3x3 "
        "pad=1_0x1_0 stride=2x2}, dim_labels=bf01_oi01->bf01, "
        f'custom_call_target="__cudnn${call}"',
    )
    assert flops(text) == 2 * (7 * 5 * 3 * 3) * (2 * 6 * 6)


def test_a_loop_counts_as_often_as_it_runs_and_scopes_are_told_apart() -> None:
    body = (
        "%body (arg: (f32[8], f32[8])) -> (f32[8], f32[8]) {",
        "  %x = f32[8]{0} parameter(0)",
        '  %y = f32[8]{0} fusion(%x), calls=%inner, metadata={op_name="jit(f)/a/mul"}',
        "}",
    )
    text = program(
        "  %w = (f32[8], f32[8]) while(%t), condition=%cond, body=%body, "
        'backend_config={"known_trip_count":{"n":"6"}}',
        "  %z = f32[8]{0} copy(%p)",
        computations=body,
    )
    found = seconds_by_component(text, ("a",), NO_LIMIT, 1.0)
    assert found == {"a": 6 * 64, OTHER: 32}
