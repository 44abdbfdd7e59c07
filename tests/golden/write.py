"""Writes the golden files again: `make goldens`, then look at the difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rdc.architectures import NAMED
from rdc.complexity import count
from rdc.registry import arch_id

ARCHITECTURES = Path(__file__).with_name("architectures.json")
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


def main() -> None:
    text = json.dumps(architectures(), indent=1) + "\n"
    ARCHITECTURES.write_text(text)


if __name__ == "__main__":
    main()
