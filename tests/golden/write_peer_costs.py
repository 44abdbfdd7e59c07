"""Records costs and outputs of CompressAI's blocks and models, for our tests.

Runs in an environment of its own, without the project's packages:

    make peers
    .venv-compressai/bin/python tests/golden/write_peer_costs.py

Writes, beside itself, `peer_costs.json` (integer MACs and parameters) and
`peer_outputs.npz` (weights, inputs and outputs of small blocks, in PyTorch's layouts:
`CASE/x`, `CASE/y` and `CASE/NAME` for every NAME of the block's state_dict).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

COSTS = Path(__file__).with_name("peer_costs.json")
OUTPUTS = Path(__file__).with_name("peer_outputs.npz")
HEIGHT_PX, WIDTH_PX = 512, 768

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks/training"))
import unused_packages  # noqa: E402, F401, before CompressAI

# isort: split
import compressai  # noqa: E402
from compressai.layers import GDN, AttentionBlock  # noqa: E402
from compressai.models import (  # noqa: E402
    Elic2022Official,
    FactorizedPrior,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.sensetime import ResidualBottleneckBlock  # noqa: E402

SOURCE = f"CompressAI {compressai.__version__}, torch {torch.__version__}"


def cost(module: nn.Module, shape: tuple[int, int, int]) -> tuple[dict, tuple]:
    """MACs and parameters at one input [C, H, W], and the output's shape.

    Dense: k^2 * in * out at every output position of a convolution, at every input
    position of a transposed one; GDN is the 1x1 convolution of its norm. PyTorch's own
    counter has to agree.
    """
    module = module.to("meta")
    total = 0

    def add(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        kernel = layer.gamma if isinstance(layer, GDN) else layer.weight
        grid = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += kernel.numel() * grid.shape[-2] * grid.shape[-1]

    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, GDN)):
            layer.register_forward_hook(add)
        elif list(layer.parameters(recurse=False)):
            raise TypeError(f"no rule counts {type(layer).__name__}")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = module(torch.empty((1, *shape), device="meta"))
    if counter.get_total_flops() != 2 * total:
        raise ValueError(f"PyTorch counts {counter.get_total_flops()}, not 2 * {total}")
    return {"macs": total, "params": parameters(module)}, tuple(output.shape[1:])


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def model_costs(model: nn.Module, with_hyper: bool = True) -> dict[str, dict]:
    """Costs by component, under CompressAI's names."""
    total = parameters(model)
    costs = {}
    costs["g_a"], y_shape = cost(model.g_a, (3, HEIGHT_PX, WIDTH_PX))
    costs["g_s"], _ = cost(model.g_s, y_shape)
    if with_hyper:
        costs["h_a"], z_shape = cost(model.h_a, y_shape)
        costs["h_s"], _ = cost(model.h_s, z_shape)
    return {"params_total": total, "components": costs}


def all_costs() -> dict[str, Any]:
    models = {
        "ScaleHyperprior(128, 192)": model_costs(ScaleHyperprior(128, 192)),
        "MeanScaleHyperprior(128, 192)": model_costs(MeanScaleHyperprior(128, 192)),
        "MeanScaleHyperprior(192, 320)": model_costs(MeanScaleHyperprior(192, 320)),
        "FactorizedPrior(128, 192)": model_costs(FactorizedPrior(128, 192), False),
        # Its hyper-synthesis and entropy model have no counterpart here.
        "Elic2022Official(192, 320)": model_costs(Elic2022Official(192, 320), False),
    }
    blocks = {
        "GDN(192)": (GDN(192), 192),
        "ResidualBottleneckBlock(192, 192)": (ResidualBottleneckBlock(192, 192), 192),
        "AttentionBlock(192)": (AttentionBlock(192), 192),
        "AttentionBlock(320)": (AttentionBlock(320), 320),
    }
    return {
        "source": SOURCE,
        "models_height_px": HEIGHT_PX,
        "models_width_px": WIDTH_PX,
        "models": models,
        "blocks_height": 32,
        "blocks_width": 48,
        "blocks": {
            name: cost(block, (channels, 32, 48))[0]
            for name, (block, channels) in blocks.items()
        },
    }


def small_blocks() -> Iterator[tuple[str, nn.Module, tuple[int, int, int]]]:
    """Name, block with random weights, and input shape [C, H, W]."""
    for kernel, stride in ((1, 1), (3, 1), (5, 1), (3, 2), (5, 2)):
        conv = nn.Conv2d(3, 4, kernel, stride, padding=kernel // 2)
        yield f"conv_{kernel}_stride_{stride}", conv, (3, 9, 12)
    for kernel in (3, 5):
        up = nn.ConvTranspose2d(3, 4, kernel, 2, padding=kernel // 2, output_padding=1)
        yield f"up_conv_{kernel}", up, (3, 5, 6)
    for name, inverse in (("gdn", False), ("gdn_inverse", True)):
        yield name, _random_gdn(GDN(6, inverse=inverse)), (6, 7, 8)
    yield "residual_bottleneck", ResidualBottleneckBlock(8, 8), (8, 7, 8)
    attention = AttentionBlock(8)
    yield "attention", attention, (8, 7, 8)
    for unit in (*attention.conv_a, *attention.conv_b[:3]):
        unit.relu = nn.Identity()  # as in the code of Cheng et al. 2020
    yield "attention_without_relu", attention, (8, 7, 8)
    model = FactorizedPrior(6, 8)
    for layer in (*model.g_a, *model.g_s):
        if isinstance(layer, GDN):
            _random_gdn(layer)
    yield "conv_analysis", model.g_a, (3, 32, 48)
    yield "conv_synthesis", model.g_s, (8, 2, 3)


def _random_gdn(layer: GDN) -> GDN:
    """Unsymmetrical gamma; some stored values lie below their bounds."""
    nn.init.uniform_(layer.gamma, -0.1, 0.6)
    nn.init.uniform_(layer.beta, 0.5, 1.5)
    with torch.no_grad():
        layer.beta[0] = 0.0
    return layer


def all_outputs() -> dict[str, np.ndarray]:
    arrays = {"source": np.array(SOURCE)}
    torch.manual_seed(1)
    for name, block, shape in small_blocks():
        x = torch.randn((1, *shape))
        with torch.no_grad():  # in float64: the peer's rounding is not ours to meet
            y = block.double()(x.double())
        for key, value in {"x": x, "y": y, **dict(block.named_parameters())}.items():
            arrays[f"{name}/{key}"] = value.detach().float().numpy()
    return arrays


def main() -> None:
    COSTS.write_text(json.dumps(all_costs(), indent=1) + "\n")
    np.savez_compressed(OUTPUTS, **all_outputs())


if __name__ == "__main__":
    main()
