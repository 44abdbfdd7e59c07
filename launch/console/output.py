"""What commands that read results print: tables as text, Markdown, CSV or JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from rdc.errors import ConfigError

FORMATS = ("text", "csv", "markdown", "json")


def add_format(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """Adds `--format`, of which the first is the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


def check_extra() -> None:
    """Raises `ConfigError` where what tables need is not installed."""
    try:
        importlib.import_module("pandas")
        importlib.import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "this command has what it reads tables with",
            error,
            "install the extra: pip install 'rdc-frontier[report]'",
        ) from None


def print_rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], title: str, kind: str
) -> None:
    """Prints a table for people.

    Args:
      kind: `text` or `markdown`.
    """
    if kind == "markdown":
        from analysis.pages import table

        print(f"**{title}**\n\n{table([head, *rows])}\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    drawn.padding, drawn.pad_edge = (0, 1, 0, 0), False
    for i, name in enumerate(head):
        number = all(_is_number(row[i]) for row in rows)
        drawn.add_column(
            name.replace(" ", "\n"),
            justify="right" if number else "left",
            no_wrap=number or i < 2,
        )
    for row in rows:
        drawn.add_row(*row)
    # A pipe has no width: nothing is cut there.
    Console(width=None if sys.stdout.isatty() else 200).print(drawn)


def _is_number(text: str) -> bool:
    return not text.strip("~+-.,0123456789")


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
