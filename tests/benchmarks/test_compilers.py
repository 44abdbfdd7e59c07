"""Compilers know every family, without their devices: `make bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rdc.compiler.decoder import COMPONENTS
from rdc.compiler.estimates import estimated_decoder, estimated_training
from rdc.specs.compiler import CompilerTarget
from rdc.specs.recipe import Recipe
from tests.architectures import small
from tests.conftest import REPOSITORY

FAMILIES = {
    "conv/hyperprior": small("conv", "mean_scale_hyperprior", "conv"),
    "conv/charm": small("conv", "charm", "conv"),
    "elic/hyperprior": small("elic", "mean_scale_hyperprior", "conv"),
    "elic/charm:swin": small("elic", "charm", "swint"),
    "swint/hyperprior": small("swint", "mean_scale_hyperprior", "conv"),
    "swint/charm": small("swint", "charm", "conv"),
}


def target(name: str) -> CompilerTarget:
    path: Path = REPOSITORY / "conf" / "hardware" / f"{name}.yaml"
    return CompilerTarget.from_dict(yaml.safe_load(path.read_text())["compiler"])


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hardware", ["tpu_v4", "tpu_v5e", "a100", "h100"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_compiles(family: str, hardware: str) -> None:
    rows = estimated_decoder(FAMILIES[family], target(hardware), 128, 192)
    times = {row.component: row.decode_ms or 0.0 for row in rows}
    network = times.pop("network")
    assert network == pytest.approx(sum(times.values()))
    for component in COMPONENTS:
        if component == "entropy_model" and "hyperprior" in family:
            continue  # its means and scales are the hyper-synthesis's outputs
        assert times[component]
    assert all(row.fits for row in rows)
    assert all((row.cycles is None) == (row.source == "roofline") for row in rows)
    print(family, hardware, f"{network:.3f} ms")


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_a_training_step_costs_more_than_its_decoder_and_grows_with_the_batch() -> None:
    spec, tpu = FAMILIES["conv/hyperprior"], target("tpu_v5e")
    decoder = estimated_decoder(spec, tpu, 128, 128)[-1]
    one, four = (
        estimated_training(spec, Recipe(batch_size=size, crop_px=128), 1, tpu)
        for size in (1, 4)
    )
    assert (decoder.cycles or 0) < (one.cycles or 0) < (four.cycles or 0)
    assert (one.peak_bytes or 0) < (four.peak_bytes or 0)
    assert one.fits
    assert four.fits
    assert four.step_ms == pytest.approx((four.cycles or 0) / 1500e3)


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_float32_products_cost_more_and_a_small_memory_is_told() -> None:
    spec, tpu = FAMILIES["conv/hyperprior"], target("tpu_v6e")
    one_pass = estimated_decoder(spec, tpu, 256, 384)[-1]
    exact = estimated_decoder(spec, replace(tpu, precision="highest"), 256, 384)[-1]
    assert (exact.cycles or 0) > (one_pass.cycles or 0)
    little = estimated_decoder(spec, replace(tpu, memory_gb=0.001), 256, 384)
    assert not any(row.fits for row in little)
