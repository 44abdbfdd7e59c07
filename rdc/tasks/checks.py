"""What the readers of labelled photographs refuse alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rdc.data.image_sets import first_few
from rdc.data.images import is_grey
from rdc.errors import DataError


def check_none_without(rule: str, where: Path, wrong: Iterable[str]) -> None:
    """Raises `DataError` if anything is named that lacks its counterpart."""
    names = sorted(wrong)
    if names:
        raise DataError(
            f"{where} {rule}",
            f"{len(names)} without: {first_few(names, 3)}",
            "copy the files whole, or correct the list",
        )


def check_colour_files(folder: Path, names: Iterable[str]) -> None:
    """Raises `DataError` if one of the files stores no colours."""
    check_none_grey([name for name in names if is_grey(folder / name)])


def check_none_grey(grey: Sequence[str]) -> None:
    """Raises `DataError` if there are files without colours."""
    if grey:
        raise DataError(
            "photographs of a task are colour files",
            f"{len(grey)} grey ones: {first_few(grey, 3)}",
            "leave them out, or store them with three channels",
        )
