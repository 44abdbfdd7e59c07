"""Pages that are written from measurements: their command, tables and numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from rdc.errors import ConfigError, ExitCode, RdcError


def run(
    module: str,
    write: Callable[[Path, Path], Path],
    default: Path,
    arguments: Sequence[str] | None = None,
    file: str | None = None,
) -> int:
    """`python -m MODULE OUT [PAGE]`: writes the page of a sweep; the exit code.

    Args:
      write: of OUT and the page's place; gives the page.
      file: what a file is that stands in OUT's place; None: the folder of a sweep.
    """
    name, told = ("OUT", "folder of a sweep") if file is None else ("FILE", file)
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("source", type=Path, metavar=name, help=told)
    place = f"default: {default}"
    parser.add_argument("page", type=Path, nargs="?", default=default, help=place)
    options = parser.parse_args(arguments)
    try:
        source = options.source
        if not (source.is_dir() if file is None else source.is_file()):
            article = "the " if file is None else "a "
            raise ConfigError(f"{name} is {article}{told}", source)
        print(write(source, options.page))
    except RdcError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return ExitCode.OK


def table(lines: Iterable[Sequence[str]]) -> str:
    """The first line is the head."""
    head, *rows = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|" + " --- |" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows])


def number(value: float, form: str, unit: str = "") -> str:
    """A dash where there is none."""
    return "-" if pd.isna(value) else f"{value:{form}}{unit}"
