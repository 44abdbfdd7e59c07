"""The console script `rdc`: the codec and the counter for one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rdc.errors import ConfigError, ExitCode, RdcError
from rdc.files import write_bytes_atomically


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; expected errors become one line and exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except RdcError as error:
        print(f"rdc: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rdc", description="Neural image codec and its cost."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    compress = commands.add_parser(
        "compress", help="image (PNG, JPEG, WebP, TIFF) -> .rdc bitstream"
    )
    compress.add_argument("input", type=Path, metavar="IN")
    compress.add_argument("output", type=Path, metavar="OUT")
    compress.add_argument(
        "--verify", action="store_true", help="decode again before reporting success"
    )
    compress.set_defaults(run=_compress)

    decompress = commands.add_parser("decompress", help=".rdc bitstream -> PNG")
    decompress.add_argument("input", type=Path, metavar="IN")
    decompress.add_argument("output", type=Path, metavar="OUT")
    decompress.set_defaults(run=_decompress)
    for command in (compress, decompress):
        command.add_argument(
            "--model", metavar="DIR", help="exported model folder (see rdc export)"
        )

    info = commands.add_parser("info", help="what a .rdc bitstream says of itself")
    info.add_argument("input", type=Path, metavar="FILE")
    info.set_defaults(run=_info)

    complexity = commands.add_parser(
        "complexity", help="exact cost of an architecture by side and component"
    )
    complexity.add_argument("name", metavar="NAME", help="a named architecture")
    complexity.add_argument("--height-px", type=int, default=512)
    complexity.add_argument("--width-px", type=int, default=768)
    complexity.set_defaults(run=_complexity)
    return parser


def _compress(options: argparse.Namespace) -> None:
    from rdc.codec import Codec
    from rdc.data.images import read_image

    image = read_image(options.input)
    codec = Codec.load(options.model)
    data = codec.compress(image)
    if options.verify:
        codec.decompress(data)
    write_bytes_atomically(options.output, data)
    pixels = image.shape[0] * image.shape[1]
    print(f"{options.output}: {len(data)} bytes, {8 * len(data) / pixels:.4f} bpp")


def _decompress(options: argparse.Namespace) -> None:
    from rdc.codec import Codec
    from rdc.data.images import png_bytes

    data = _read(options.input)
    image = Codec.load(options.model).decompress(data)
    write_bytes_atomically(options.output, png_bytes(image))
    print(f"{options.output}: {image.shape[1]} x {image.shape[0]} pixels")


def _info(options: argparse.Namespace) -> None:
    from rdc.codec.container import unpack

    header, payload = unpack(_read(options.input))
    for name, value in vars(header).items():
        print(f"{name:20} {value.hex() if isinstance(value, bytes) else value}")
    print(f"{'payload_bytes':20} {len(payload)}")


def _complexity(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from rdc.architectures import resolve
    from rdc.complexity import count

    spec = resolve(options.name)
    cost = count(spec, options.height_px, options.width_px)
    table = Table(title=f"{options.name}: {spec.family}")
    table.add_column("side")
    table.add_column("component")
    for heading in ("parameters", "kMACs/px", "kFLOPs/px"):
        table.add_column(heading, justify="right")
    for row in cost.by_component:
        kmacs = row.macs_per_px / 1000
        table.add_row(
            row.side,
            row.component,
            f"{row.params:,}",
            f"{kmacs:.3f}",
            f"{2 * kmacs:.3f}",
        )
    table.add_section()
    table.add_row("encode", "all", "", *_both(cost.kmacs_per_px_encode))
    table.add_row(
        "decode", "all", f"{cost.params_decoder:,}", *_both(cost.kmacs_per_px)
    )
    table.add_row("both", "all", f"{cost.params_total:,}", "", "")
    console = Console()
    console.print(table)
    console.print(
        f"At {options.height_px} x {options.width_px} px, per unpadded pixel; padded "
        f"pixels {cost.padded_px_ratio:.3f} x. 1 MAC = 2 FLOPs. Decoder activations "
        f"at most {cost.decoder_peak_bytes_per_px:.0f} B/px (float32, unfused)."
    )


def _both(kmacs: float) -> tuple[str, str]:
    return f"{kmacs:.3f}", f"{2 * kmacs:.3f}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "the input file can be read", f"{path} ({error.strerror})"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
