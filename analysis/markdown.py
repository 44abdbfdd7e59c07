"""Tables and numbers of pages that are written from measurements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd


def table(lines: Iterable[Sequence[str]]) -> str:
    """The first line is the head."""
    head, *rows = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|" + " --- |" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows])


def number(value: float, form: str, unit: str = "") -> str:
    """A dash where there is none."""
    return "-" if pd.isna(value) else f"{value:{form}}{unit}"
