"""Counts against hand counts, and the laws of counting."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rdc.architectures import build
from rdc.complexity import count
from rdc.complexity.jaxpr_cost import UncountedPrimitiveError, cost_of
from rdc.specs.components import ArchitectureSpec
from tests.architectures import ALL, OWN_FEATURES

everything = pytest.mark.parametrize("spec", ALL.values(), ids=ALL)

# Minnen & Johnston 2023, table 1: parameters in millions (of the decoder for A to D,
# of the whole model for E to G) and kFLOPs/px of the decoder.
TABLE_1 = {
    "rdc_a": (38.0, 1076.4),
    "rdc_b": (31.6, 631.1),
    "rdc_c": (32.2, 392.5),
    "rdc_d": (22.4, 342.1),
    "rdc_e": (17.3, 252.1),
    "rdc_f": (19.8, 200.1),
    "rdc_g": (12.8, 117.4),
}


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1_within_one_per_cent(name: str) -> None:
    params, kflops_per_px = TABLE_1[name]
    cost = count(name)
    counted = cost.params_decoder if name < "rdc_e" else cost.params_total
    assert counted / 1e6 == pytest.approx(params, rel=0.01)
    assert cost.kflops_per_px == pytest.approx(kflops_per_px, rel=0.01)


def test_zhu_2022_has_its_published_size() -> None:
    """32.6 M parameters (Zhu, Yang & Cohen 2022, as the authors' logs have them in
    github.com/Nikolai10/SwinT-ChARM); its CHARM by the formula of the paper's widths.
    """
    cost = count("zhu2022_swint_charm")
    assert cost.params_total == pytest.approx(32.56e6, rel=0.01)
    charm = next(r for r in cost.by_component if r.component == "entropy_model")
    hidden = [
        (max(64, 64 * (i + 2) // 3), max(32, 32 * (i + 2) // 3)) for i in range(10)
    ]
    assert hidden[2:4] + hidden[9:] == [(85, 42), (106, 53), (234, 117)]
    params = sum(
        2 * (9 * (32 * (i + 1) * d0 + d0 * d1 + d1 * 32) + d0 + d1 + 32)
        for i, (d0, d1) in enumerate(hidden)
    )
    assert charm.params == params == 7_892_236
    assert charm.macs_per_px == pytest.approx(30_810, abs=1)


# EVC's released code: parameters of encoder and decoder transforms, and of everything
# (a model of four rates, whose quantisation steps are 192 + 4 numbers).
EVC = {
    "l": (3_187_776, 3_375_180, 17_381_776),
    "m": (2_077_376, 2_330_700, 15_226_896),
    "s": (818_240, 1_141_196, 12_778_256),
}


@pytest.mark.parametrize("size", EVC)
def test_evc_has_its_published_size(size: str) -> None:
    for pair in (f"{size}l", f"l{size}", 2 * size):
        params = {r.component: r.params for r in count(f"evc_{pair}").by_component}
        assert params["analysis_transform"] == EVC[pair[0]][0]
        assert params["synthesis_transform"] == EVC[pair[1]][1]
        assert params["hyper_analysis"] == 1_035_840
        assert params["hyper_synthesis"] == 1_412_160
        assert params["entropy_model"] == 2_899_072 + 5_469_440  # fusion and prior
        assert params["prior"] == 2112
    model = build(f"evc_{size}", None, rates=(1, 2, 3, 4))
    leaves = jax.tree.leaves(nnx.state(model))
    assert sum(leaf.size for leaf in leaves) == EVC[size][2]


def test_dcvc_uf_intra_has_its_published_cost() -> None:
    assert count("dcvc_uf_intra").kflops_per_px == pytest.approx(671, rel=1e-3)


def test_several_encoders_cost_the_encoder_alone() -> None:
    one = ALL["evc-dual_spatial_prior-evc"]
    three = replace(one, encoders=3)
    alone, several = count(one), count(three)
    assert several.kmacs_per_px == alone.kmacs_per_px
    assert several.params_decoder == alone.params_decoder
    # Each candidate is coded and decoded before one is chosen.
    synthesis = next(
        r.macs_per_px
        for r in alone.by_component
        if r.component == "synthesis_transform"
    )
    whole = alone.kmacs_per_px_encode + synthesis / 1000
    assert several.kmacs_per_px_encode == pytest.approx(3 * whole)


@everything
def test_parameters_equal_those_of_the_built_model(spec: ArchitectureSpec) -> None:
    def size(module) -> int:
        return sum(w.size for w in jax.tree.leaves(nnx.state(module)))

    model = build(spec, seed=0)
    cost = count(spec)
    assert cost.params_total == size(model)
    encoder_only = size(model.analysis_transform)
    if model.hyper_analysis is not None:
        encoder_only += size(model.hyper_analysis)
    assert cost.params_decoder == size(model) - encoder_only


def by_name(spec: ArchitectureSpec, side: str) -> dict[str, float]:
    rows = count(spec).by_component
    return {row.component: row.macs_per_px for row in rows if row.side == side}


def test_conv_hand_count() -> None:
    a, b, c, m = 12, 16, 8, 24
    h1, h2, h3 = 8, 12, 10
    u1, u2 = 10, 14
    spec = ALL["conv-mean_scale_hyperprior-conv"]
    encode, decode = by_name(spec, "encode"), by_name(spec, "decode")
    analysis = (
        (25 * 3 * a + a * a) / 4
        + (25 * a * b + b * b) / 16
        + (25 * b * c + c * c) / 64
        + 25 * c * m / 256
    )
    assert encode["analysis_transform"] == pytest.approx(analysis)
    synthesis = (
        25 * m * c / 256
        + (c * c + 25 * c * b) / 64
        + (b * b + 25 * b * a) / 16
        + (a * a + 25 * a * 3) / 4
    )
    assert decode["synthesis_transform"] == pytest.approx(synthesis)
    hyper_analysis = 9 * m * h1 / 256 + 25 * h1 * h2 / 1024 + 25 * h2 * h3 / 4096
    assert encode["hyper_analysis"] == pytest.approx(hyper_analysis)
    hyper_synthesis = 25 * h3 * u1 / 4096 + 25 * u1 * u2 / 1024 + 9 * u2 * 2 * m / 256
    assert decode["hyper_synthesis"] == pytest.approx(hyper_synthesis)


def test_elic_hand_count() -> None:
    c1, c2, c3, m = 8, 12, 16, 24
    spec = ALL["elic-mean_scale_hyperprior-conv"]
    synthesis = (
        20.5 * m * m / 256
        + 25 * m * c3 / 256
        + (3.25 * c3 * c3 + 25 * c3 * c2) / 64
        + (20.5 + 3.25) * c2 * c2 / 16
        + 25 * c2 * c1 / 16
        + (3.25 * c1 * c1 + 25 * c1 * 3) / 4
    )
    assert by_name(spec, "decode")["synthesis_transform"] == pytest.approx(synthesis)


def test_swint_hand_count() -> None:
    spec = ALL["swint-mean_scale_hyperprior-conv"]
    widths, depths, window = (8, 16, 8, 24), (2, 1, 1, 2), 4

    def block(c: int) -> int:
        return 12 * c * c + 2 * window**2 * c

    synthesis = sum(
        depth * block(width) / 4 ** (i + 1)
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
    )
    targets = (3, *widths[:-1])
    synthesis += sum(
        4 * width * target / 4 ** (i + 1)
        for i, (width, target) in enumerate(zip(widths, targets, strict=True))
    )
    assert by_name(spec, "decode")["synthesis_transform"] == pytest.approx(synthesis)


@pytest.mark.parametrize("name", ["charm", "charm2020"])
def test_charm_hand_count(name: str) -> None:
    m, slices, support, d0, d1 = 24, 4, 2, 10, 8
    width = m // slices
    context = 6 if name == "charm" else m
    macs = 0.0
    for i in range(slices):
        inputs = context + min(i, support) * width
        if name == "charm":
            macs += 2 * m * context + 2 * width * width  # 1x1 projection, LRP merge
        macs += 2 * 9 * (inputs * d0 + d0 * d1 + d1 * width)  # mean and scale
        macs += 9 * ((inputs + width) * d0 + d0 * d1 + d1 * width)  # LRP
    decode = by_name(ALL[f"conv-{name}-conv"], "decode")
    assert decode["entropy_model"] == pytest.approx(macs / 256)


def test_hand_count_of_slices_that_differ_in_width() -> None:
    widths = OWN_FEATURES.slice_widths
    macs = 0
    for i, width in enumerate(widths):
        inputs = width + sum(widths[:i])
        d0, d1 = max(10, 10 * (i + 2) // 3), max(8, 8 * (i + 2) // 3)
        macs += 2 * (9 * inputs * d0 + d0 * d1 + 9 * d1 * width)  # kernels 3, 1, 3
    decode = by_name(ALL["elic-charm2020_own-swint"], "decode")
    assert decode["entropy_model"] == pytest.approx(macs / 256)


@everything
def test_cost_does_not_depend_on_the_image_size_up_to_padding(
    spec: ArchitectureSpec,
) -> None:
    # 256 px per window of the SwinT hyper-transform: no padding anywhere.
    small, large = count(spec, 256, 256), count(spec, 512, 768)
    assert small.kflops_per_px == pytest.approx(large.kflops_per_px)
    assert small.padded_px_ratio == large.padded_px_ratio == 1
    odd = count(spec, 500, 700)
    assert odd.padded_px_ratio > 1
    assert odd.kflops_per_px >= large.kflops_per_px * odd.padded_px_ratio * 0.999


def test_flops_are_two_per_mac() -> None:
    cost = count("rdc_g")
    assert cost.kflops_per_px == 2 * cost.kmacs_per_px
    rows = [row.macs_per_px for row in cost.by_component if row.side == "decode"]
    assert sum(rows) / 1000 == pytest.approx(cost.kmacs_per_px)


def test_unknown_primitive_is_refused() -> None:
    x = jax.ShapeDtypeStruct((4, 4), np.float32)
    with pytest.raises(UncountedPrimitiveError, match="cholesky"):
        cost_of(lambda _, x: jnp.linalg.cholesky(x), (), x)


def test_scan_counts_every_iteration_and_dilation_counts_data_alone() -> None:
    x = jax.ShapeDtypeStruct((4, 4), np.float32)

    def five_products(_, x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, length=5)[0]

    assert cost_of(five_products, (), x)[0].macs == 5 * 4**3
    # Each moves two 4 x 4 matrices of float32 in and one out.
    assert {p.bytes for p in cost_of(five_products, (), x)[0].products} == {3 * 64}

    from rdc.ops.convolution import upsample

    image = jax.ShapeDtypeStruct((1, 6, 8, 3), np.float32)
    kernel = jax.ShapeDtypeStruct((5, 5, 3, 2), np.float32)
    for form in ("phases", "dilated"):
        cost, _ = cost_of(
            lambda _, x, k, form=form: upsample(x, k, form), (), image, kernel
        )
        assert cost.macs == 25 * 3 * 2 * 6 * 8


def test_peak_memory_of_a_chain() -> None:
    x = jax.ShapeDtypeStruct((1000,), np.float32)
    # Input and one intermediate at a time: 8 bytes per element.
    cost, _ = cost_of(lambda _, x: jnp.tanh(jnp.sin(jnp.cos(x))), (), x)
    assert cost.peak_bytes == 8000
    # Here the input lives on to the end.
    cost, _ = cost_of(lambda _, x: jnp.sin(jnp.cos(x)) + x, (), x)
    assert cost.peak_bytes == 12000


def test_counting_needs_no_weights() -> None:
    before = {id(array) for array in jax.live_arrays()}
    assert count("minnen2020_charm", 640, 384).params_total > 110e6
    made = [array for array in jax.live_arrays() if id(array) not in before]
    assert sum(array.nbytes for array in made) < 1e6
