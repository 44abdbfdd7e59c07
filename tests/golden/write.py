"""Writes the golden files again: `make goldens`, then look at the difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rdc.architectures import NAMED
from rdc.codec import Codec, Encoded
from rdc.codec.model_folders import shipped_models
from rdc.complexity import count
from rdc.registry import arch_id
from tests.elsewhere import hash_of
from tests.golden import exact_latents

ARCHITECTURES = Path(__file__).with_name("architectures.json")
EXACT_LATENTS = Path(__file__).with_name("exact_latents.json")
STREAMS = Path(__file__).with_name("streams")
HEIGHT_PX, WIDTH_PX = 512, 768


def architectures() -> dict[str, Any]:
    """Identity, parameters and integer MACs of one image per named architecture."""
    golden = {}
    for name, spec in NAMED.items():
        cost = count(spec, HEIGHT_PX, WIDTH_PX)
        golden[name] = {
            "arch_id": arch_id(spec),
            "family": spec.family,
            "params_total": cost.params_total,
            "params_decoder": cost.params_decoder,
            "macs": {
                f"{row.side} {row.component}": round(
                    row.macs_per_px * HEIGHT_PX * WIDTH_PX
                )
                for row in cost.by_component
            },
        }
    return golden


def stream(model: str) -> Encoded:
    """Of a drawn picture, u8[83,101,3], by a shipped model."""
    rows, columns = np.mgrid[:83, :101]
    waves = np.sin(rows / 5) * np.cos(columns / 9) + (rows > columns)
    noise = np.random.default_rng(0).normal(0, 0.1, waves.shape)
    channels = [waves + noise, waves * columns / 80, rows / 50 - noise]
    x = np.clip(90 + 60 * np.stack(channels, -1), 0, 255).astype(np.uint8)
    return Codec.load(model).encoded(x)


def main() -> None:
    text = json.dumps(architectures(), indent=1) + "\n"
    ARCHITECTURES.write_text(text)
    EXACT_LATENTS.write_text(json.dumps(exact_latents.hashes(), indent=1) + "\n")
    for model in shipped_models():
        encoded = stream(model)
        path = STREAMS / f"{model}.rdc"
        path.write_bytes(encoded.data)
        path.with_suffix(".sha256").write_text(hash_of(encoded.y_hat) + "\n")


if __name__ == "__main__":
    main()
