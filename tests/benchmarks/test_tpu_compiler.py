"""The TPU compiler knows every family, without a TPU: `make bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rdc.compiler.decoder import COMPONENTS
from rdc.compiler.tpu import estimated_decoder
from rdc.specs.compiler import CompilerTarget
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
@pytest.mark.parametrize("hardware", ["tpu_v4", "tpu_v5e"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_compiles(family: str, hardware: str) -> None:
    rows = estimated_decoder(FAMILIES[family], target(hardware), 128, 192)
    cycles = {row.component: row.cycles for row in rows}
    network = cycles.pop("network")
    assert network == sum(count or 0 for count in cycles.values())
    for component in COMPONENTS:
        if component == "entropy_model" and "hyperprior" in family:
            continue  # its means and scales are the hyper-synthesis's outputs
        assert cycles[component]
    assert all(row.fits for row in rows)
    print(family, hardware, f"{network:,} cycles, {rows[-1].decode_ms:.3f} ms")


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_float32_products_cost_more_and_a_small_memory_is_told() -> None:
    spec, tpu = FAMILIES["conv/hyperprior"], target("tpu_v6e")
    one_pass = estimated_decoder(spec, tpu, 256, 384)[-1]
    exact = estimated_decoder(spec, replace(tpu, precision="highest"), 256, 384)[-1]
    assert (exact.cycles or 0) > (one_pass.cycles or 0)
    little = estimated_decoder(spec, replace(tpu, memory_gb=0.001), 256, 384)
    assert not any(row.fits for row in little)
