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
) -> int:
    """`python -m MODULE OUT [PAGE]`: writes the page of a sweep; the exit code.

    Args:
      write: of OUT and the page's place; gives the page.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of a sweep")
    told = f"default: {default}"
    parser.add_argument("page", type=Path, nargs="?", default=default, help=told)
    options = parser.parse_args(arguments)
    try:
        if not options.out.is_dir():
            raise ConfigError("OUT is the folder of a sweep", options.out)
        print(write(options.out, options.page))
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
