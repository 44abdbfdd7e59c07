"""What the readers of photographs with answers share: facts of files, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rdc.data.image_facts import FactTable, ImageFacts
from rdc.data.image_sets import first_few
from rdc.errors import DataError

Progress = Callable[[int, int], None]  # files that were decoded, of so many


def no_progress(done: int, count: int) -> None:
    """For who does not look."""


def facts_of(
    folder: Path,
    names: Sequence[str],
    decoded: bool = False,
    progress: Progress = no_progress,
) -> list[ImageFacts]:
    """Of files below a folder; only new or changed ones are read.

    Args:
      decoded, progress: as of `rdc.data.image_facts.FactTable.of`.

    Raises:
      DataError: a file went meanwhile.
    """
    paths = [str(folder / name) for name in names]
    facts = FactTable(f"{folder} {names}").of(paths, decoded, progress)
    gone = [path for path, known in zip(paths, facts, strict=True) if known is None]
    if gone:
        raise DataError("photographs stay while they are read", f"no {gone[0]}")
    return [known for known in facts if known is not None]


def check_files(names: Iterable[str], facts: Iterable[ImageFacts]) -> None:
    """Raises `DataError` if a decoded file is corrupt or stores no colours."""
    pairs = list(zip(names, facts, strict=True))
    problems = [facts.problem for _, facts in pairs if facts.problem]
    if problems:
        raise DataError(
            "photographs of a task can be decoded",
            f"{len(problems)} that cannot: {first_few(problems, 3)}",
        )
    grey = [name for name, facts in pairs if facts.is_grey]
    if grey:
        raise DataError(
            "photographs of a task are colour files",
            f"{len(grey)} grey ones: {first_few(grey, 3)}",
            "leave them out, or store them with three channels",
        )


def check_none_without(rule: str, where: Path, wrong: Iterable[str]) -> None:
    """Raises `DataError` if anything is named that lacks its counterpart."""
    names = sorted(wrong)
    if names:
        raise DataError(
            f"{where} {rule}",
            f"{len(names)} without: {first_few(names, 3)}",
            "copy the files whole, or correct the list",
        )
