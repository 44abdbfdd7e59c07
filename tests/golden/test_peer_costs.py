"""MACs and parameters against CompressAI's of the same models and blocks.

`peer_costs.json` is what CompressAI's own modules count; `write_peer_costs.py` records
it. Everything is equal to the last MAC and parameter but the learned density of z (of y
without a hyper-transform): CompressAI's has filters (3, 3, 3, 3) and learned quantiles,
61 parameters per channel, and ours filters (3, 3) and no quantiles.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from rdc.complexity import count
from rdc.complexity.jaxpr_cost import cost_of
from rdc.layers import AttentionBlock, Gdn, ParameterFactory, ResidualBlock
from rdc.registry import parse_architecture
from rdc.specs.components import ArchitectureSpec

PEER: dict[str, Any] = json.loads(
    Path(__file__).with_name("peer_costs.json").read_text()
)
COMPONENTS = {  # CompressAI's names of ours
    "g_a": "analysis_transform",
    "g_s": "synthesis_transform",
    "h_a": "hyper_analysis",
    "h_s": "hyper_synthesis",
}
DENSITY_PARAMS_PER_CHANNEL = 61  # of CompressAI's EntropyBottleneck


def conv(width: int, latent: int) -> dict[str, Any]:
    return {
        "name": "conv",
        "channels": [width] * 3,
        "latent_channels": latent,
        "gdn_form": "original",
    }


def hyper(width: int, synthesis: list[int]) -> dict[str, Any]:
    return {
        "name": "conv",
        "analysis_channels": [width] * 3,
        "synthesis_channels": synthesis,
    }


def scale(width: int, latent: int) -> ArchitectureSpec:
    return parse_architecture(
        {
            "transform": conv(width, latent),
            "entropy_model": {"name": "scale_hyperprior"},
            "hyper_transform": hyper(width, [width, width]),
        }
    )


def mean_scale(width: int, latent: int) -> ArchitectureSpec:
    return parse_architecture(
        {
            "transform": conv(width, latent),
            "entropy_model": {"name": "mean_scale_hyperprior"},
            "hyper_transform": hyper(width, [latent, latent * 3 // 2]),
        }
    )


def factorized(transform: dict[str, Any]) -> ArchitectureSpec:
    return parse_architecture(
        {"transform": transform, "entropy_model": {"name": "factorized"}}
    )


MODELS = {
    "ScaleHyperprior(128, 192)": scale(128, 192),
    "MeanScaleHyperprior(128, 192)": mean_scale(128, 192),
    "MeanScaleHyperprior(192, 320)": mean_scale(192, 320),
    "FactorizedPrior(128, 192)": factorized(conv(128, 192)),
    # Its transforms alone are recorded.
    "Elic2022Official(192, 320)": factorized(
        {"name": "elic", "channels": [192] * 3, "latent_channels": 320}
    ),
}


def test_every_recorded_model_and_block_is_compared() -> None:
    assert set(PEER["models"]) == set(MODELS)
    assert set(PEER["blocks"]) == set(BLOCKS)


@pytest.mark.parametrize("name", MODELS)
def test_components(name: str) -> None:
    height, width = PEER["models_height_px"], PEER["models_width_px"]
    rows = {
        row.component: {
            "macs": round(row.macs_per_px * height * width),
            "params": row.params,
        }
        for row in count(MODELS[name], height, width).by_component
    }
    recorded = PEER["models"][name]["components"]
    assert {peer: rows[COMPONENTS[peer]] for peer in recorded} == recorded


@pytest.mark.parametrize("name", [name for name in MODELS if "Elic" not in name])
def test_total_parameters_without_the_density(name: str) -> None:
    spec = MODELS[name]
    hyper_transform = spec.hyper_transform
    density_channels = (
        spec.transform.latent_channels
        if hyper_transform is None
        else hyper_transform.hyperlatent_channels
    )
    cost = count(spec)
    prior = next(row.params for row in cost.by_component if row.component == "prior")
    assert (
        cost.params_total - prior
        == PEER["models"][name]["params_total"]
        - DENSITY_PARAMS_PER_CHANNEL * density_channels
    )


SHAPES_ONLY = ParameterFactory(None)
BLOCKS: dict[str, tuple[nnx.Module, int]] = {  # with their channels
    "GDN(192)": (Gdn(SHAPES_ONLY, 192, form="original"), 192),
    "ResidualBottleneckBlock(192, 192)": (ResidualBlock(SHAPES_ONLY, 192), 192),
    "AttentionBlock(192)": (AttentionBlock(SHAPES_ONLY, 192), 192),
    "AttentionBlock(320)": (AttentionBlock(SHAPES_ONLY, 320), 320),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name: str) -> None:
    block, channels = BLOCKS[name]
    graph, state = nnx.split(block)
    x = jax.ShapeDtypeStruct(
        (1, PEER["blocks_height"], PEER["blocks_width"], channels), np.float32
    )
    cost, _ = cost_of(lambda state, x: nnx.merge(graph, state)(x), state, x)
    params = sum(leaf.size for leaf in jax.tree.leaves(state))
    assert {"macs": cost.macs, "params": params} == PEER["blocks"][name]
