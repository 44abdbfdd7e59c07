"""`rdc info`: what a bitstream says of itself."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rdc.errors import DataError


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
      Sizes, bits per pixel, rate, and model, coder and numerics by id and by name; a
      name is None where this installation knows none.

    Raises:
      BitstreamError: damaged or foreign.
      DataError: the file cannot be read.
    """
    from rdc.codec.container import CODER_IDS, NUMERICS_IDS, name_of, unpack
    from rdc.codec.names import codec_of

    data = read_bytes(path)
    header, payload = unpack(data)
    model_id = header.model_id.hex()
    return {
        "file": str(path),
        "width_px": header.width_px,
        "height_px": header.height_px,
        "bytes": len(data),
        "payload_bytes": len(payload),
        "bpp": 8 * len(data) / (header.width_px * header.height_px),
        "model_id": model_id,
        "model": codec_of(header),
        "rate": header.rate,
        "coder_id": header.coder_id,
        "coder": name_of(CODER_IDS, header.coder_id),
        "numerics_id": header.numerics_id,
        "numerics": name_of(NUMERICS_IDS, header.numerics_id),
    }


def read_bytes(path: Path) -> bytes:
    """Content of an input file; raises `DataError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            "the input file can be read", f"{path} ({error.strerror})", "check the path"
        ) from None


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
        "rate": str(found["rate"]),
        "coder": found["coder"] or f"unknown ({found['coder_id']})",
        "numerics": found["numerics"] or f"unknown ({found['numerics_id']})",
    }
    print(found["file"])
    for name, value in lines.items():
        print(f"  {name:12}{value}")
