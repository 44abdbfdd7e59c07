"""`rdc inflate`: how many more bytes small changes of photographs can cost."""

from __future__ import annotations

import argparse
from pathlib import Path

from rdc.cli.folders import progress
from rdc.errors import ConfigError
from rdc.split.specs import InputMethod

_CODECS = ("light:0", "light:3", "jpeg:5", "jpeg:20")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `inflate`."""
    inflate = commands.add_parser(
        "inflate",
        help="change photographs a little so that they cost more bytes",
        description="Attacks codecs, and the trained students of a sweep on the "
        "photographs that each never saw. The same command goes on where it was.",
    )
    inflate.add_argument("photographs", metavar="PHOTOGRAPHS", help="labelled ones")
    inflate.add_argument("file", metavar="FILE", type=Path, help="CSV, goes on growing")
    inflate.add_argument("--sweep", metavar="OUT", type=Path, help="its students")
    inflate.add_argument(
        "--codec",
        metavar="NAME:RATE",
        nargs="*",
        default=_CODECS,
        help="a classical codec at a quality; a learned one, by name or folder, at one "
        "of its rates; classical ones are attacked through the first learned "
        f"(default: {' '.join(_CODECS)})",
    )
    inflate.add_argument("--count", type=int, default=20, help="of photographs, or all")
    inflate.add_argument("--steps", type=int, default=20, help="of an attack")
    inflate.set_defaults(run=_inflate)


def _inflate(options: argparse.Namespace) -> None:
    from rdc.jobs.inflations import codec_targets, inflate, student_targets
    from rdc.tasks.labelled import drawn_rows, labelled_photographs

    if options.count < 1:
        raise ConfigError("--count is one or more", options.count)
    if not options.codec and options.sweep is None:
        raise ConfigError("an attack is on one codec or a sweep at least", "none")
    photographs = labelled_photographs(options.photographs)
    rows = drawn_rows(photographs, options.count).tolist()
    specs = [_parsed(text) for text in options.codec]
    targets = codec_targets(specs, rows, options.steps)
    if options.sweep is not None:
        targets += student_targets(options.sweep, photographs, rows, options.steps)
    with progress(sum(len(target.rows) for target in targets)) as advance:
        inflate(
            targets, photographs, options.file, done=lambda line: advance(line, False)
        )
    print(options.file)


def _parsed(text: str) -> InputMethod:
    name, _, rate = text.rpartition(":")
    try:
        return InputMethod(codec=name, rate=float(rate))
    except ValueError:
        raise ConfigError("--codec is NAME:RATE, as light:0 or jpeg:20", text) from None
