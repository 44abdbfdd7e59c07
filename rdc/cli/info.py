"""`rdc info`: what a bitstream says of itself."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rdc.cli.operations import read_bytes


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `info`."""
    info = commands.add_parser(
        "info",
        help="what a .rdc bitstream says of itself",
        description="Checks a bitstream and shows its header. Nothing is decoded.",
    )
    info.add_argument("input", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true", help="as one JSON object")
    info.set_defaults(run=_info)


def describe(path: Path) -> dict[str, Any]:
    """The header of a bitstream as plain data.

    Returns:
      Sizes, bits per pixel, and model, coder and arithmetic by id and by name; a name
      is None where this installation knows none.

    Raises:
      BitstreamError: damaged or foreign.
      DataError: the file cannot be read.
    """
    from rdc.codec.container import unpack
    from rdc.codec.numerics import ARITHMETICS
    from rdc.entropy_coders.coders import CODERS

    data = read_bytes(path)
    header, payload = unpack(data)
    coders = {coder.coder_id: coder.name for coder in CODERS.values()}
    arithmetics = {a.arithmetic_id: a.name for a in ARITHMETICS.values()}
    model_id = header.model_id.hex()
    return {
        "file": str(path),
        "width_px": header.width_px,
        "height_px": header.height_px,
        "bytes": len(data),
        "payload_bytes": len(payload),
        "bpp": 8 * len(data) / (header.width_px * header.height_px),
        "model_id": model_id,
        "model": _shipped_name(model_id),
        "coder_id": header.coder_id,
        "coder": coders.get(header.coder_id),
        "arithmetic_id": header.arithmetic_id,
        "arithmetic": arithmetics.get(header.arithmetic_id),
    }


def _info(options: argparse.Namespace) -> None:
    found = describe(options.input)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    model = found["model"] or "not one that comes with this program"
    lines = {
        "image": f"{found['width_px']} x {found['height_px']} pixels",
        "size": f"{found['bytes']} bytes, {found['bpp']:.4f} bpp",
        "payload": f"{found['payload_bytes']} bytes",
        "model": f"{found['model_id']} ({model})",
        "coder": found["coder"] or f"unknown ({found['coder_id']})",
        "arithmetic": found["arithmetic"] or f"unknown ({found['arithmetic_id']})",
    }
    print(found["file"])
    for name, value in lines.items():
        print(f"  {name:12}{value}")


def _shipped_name(model_id: str) -> str | None:
    from rdc.codec.exported import load_exported
    from rdc.codec.shipped import model_folder, shipped_models

    for name in shipped_models():
        if load_exported(model_folder(name)).identity == model_id:
            return name
    return None
