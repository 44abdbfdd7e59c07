"""`rdc compress` and `rdc decompress`, for a file or a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rdc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rdc.cli.operations import Operation

_IMAGES = """\
Images are PNG, JPEG, WebP or TIFF of 8 bits per channel. The codec works in RGB: grey
becomes three equal channels, palettes and CMYK are converted, transparency is
composited on white and is gone, of an animation the first frame is taken, the EXIF
orientation is applied, colour profiles are dropped. 16 bits per channel are refused.
"""
_FOLDERS = """\
Of a folder, all files of these kinds at all depths are taken; OUT gets the same paths
with the ending {suffix}. Outputs that exist are skipped: after an interruption, the
same command goes on. A file that is damaged is named, the others are finished, and the
exit code is 2.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `compress` and `decompress`."""
    compress = commands.add_parser(
        "compress",
        help="image (PNG, JPEG, WebP, TIFF) -> .rdc bitstream",
        description=f"{_IMAGES}\n{_FOLDERS.format(suffix='.rdc')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    decompress = commands.add_parser(
        "decompress",
        help=".rdc bitstream -> PNG",
        description=_FOLDERS.format(suffix=".png"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for command in (compress, decompress):
        command.add_argument("input", type=Path, metavar="IN", help="file or folder")
        command.add_argument("output", type=Path, metavar="OUT", help="the same")
        command.add_argument(
            "--model",
            metavar="NAME|DIR",
            help="a model that comes with the program, or a folder that `rdc export` "
            "or a training wrote (default: the one that comes with it)",
        )
        command.add_argument(
            "--coder",
            metavar="range|rans|tfc",
            help="entropy coder (default: range; rans is for devices that decode in "
            "parallel, and slow on a CPU; tfc needs `make tfc` and starts a program of "
            "its own, to read its streams, too, only with this option)",
        )
    compress.add_argument(
        "--quality",
        type=float,
        metavar="Q",
        help="1 for the smallest files, up to the number of the model's rates; between "
        "two of them, too, as 2.5 (default: the one in the middle)",
    )
    compress.add_argument(
        "--effort",
        type=int,
        metavar="E",
        help="0 to 3: how long to search for a better file, from not at all to minutes "
        "per megapixel; decoding stays as it is (default: 0)",
    )
    compress.add_argument(
        "--numerics",
        metavar="exact|native",
        help="exact streams decode on every device (default); native ones are coded "
        "faster, and only a device of the same kind, JAX version and number of "
        "threads decodes them",
    )
    compress.add_argument(
        "--verify",
        action="store_true",
        help="decode every stream again before it is written",
    )
    for command in (compress, decompress):
        command.add_argument(
            "--max-pixels",
            type=int,
            metavar="N",
            help="refuse images of more pixels, padding included (default: what "
            "decodes within 2 GiB of memory)",
        )
        command.add_argument(
            "--jobs",
            type=_positive,
            metavar="N",
            help="processes for a folder; they share the cores (default: one per "
            "core, fewer for a few images or little memory)",
        )
        command.add_argument(
            "--force",
            action="store_true",
            help="of a folder, code again what OUT holds already (a single OUT is "
            "always replaced)",
        )
    compress.set_defaults(run=_compress)
    decompress.set_defaults(run=_decompress)


def _compress(options: argparse.Namespace) -> None:
    from rdc.cli.operations import Compression, VerifiedCompression, chosen

    kind = VerifiedCompression if options.verify else Compression
    values = vars(options)
    settings = chosen(values, "model", "coder", "numerics", "max_pixels")
    _run(kind(settings, chosen(values, "quality", "effort")), options)


def _decompress(options: argparse.Namespace) -> None:
    from rdc.cli.operations import Decompression, chosen

    _run(Decompression(chosen(vars(options), "model", "coder", "max_pixels")), options)


def _run(operation: Operation, options: argparse.Namespace) -> None:
    from rdc.cli.folders import described, run_on_folder
    from rdc.cli.searches import show_progress
    from rdc.system.files import write_bytes_atomically

    source, target = options.input, options.output
    if source.is_dir():
        run_on_folder(operation, source, target, options.force, options.jobs)
        return
    if not source.exists():
        raise DataError("IN is a file or a folder", f"no {source}", "check the path")
    if target.is_dir():
        raise ConfigError(
            "the output of a file is a file",
            f"{target}, a folder",
            f"write {target / source.with_suffix(operation.suffix).name}",
        )
    if target.exists() and target.samefile(source):
        raise ConfigError("IN and OUT differ", f"{source} twice", "name another OUT")
    show_progress()  # of a folder, its bar does
    coded = operation.run(source)
    write_bytes_atomically(target, coded.data)
    print(f"{target}: {described(coded)}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number
