"""Folders of images: what is left to do, doing it, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rdc.cli.operations import Coded, Operation
from rdc.cli.processes import default_processes, run_all
from rdc.data.image_sets import first_few
from rdc.errors import BitstreamError, ConfigError, DataError
from rdc.system.files import write_bytes_atomically


def run_on_folder(
    operation: Operation,
    source: Path,
    target: Path,
    force: bool = False,
    processes: int | None = None,
) -> None:
    """Runs `operation` on the files of `source`; outputs have equal paths in `target`.

    Files that are at fault are named and left out.

    Args:
      force: also where the output exists.
      processes: None for as many as serve.

    Raises:
      ConfigError: two inputs with one output; nothing was done.
      DataError: no inputs, or some were at fault.
    """
    outputs = output_paths(operation.inputs(source), source, target, operation.suffix)
    left = [path for path, output in outputs.items() if force or not output.exists()]
    if skipped := len(outputs) - len(left):
        _say(f"{skipped} of {len(outputs)} skipped, already in {target} (see --force)")
    serving = default_processes(len(left), operation.images_per_process)
    processes = min(processes or serving, max(len(left), 1))
    done: list[Coded] = []
    faults: dict[Path, str] = {}
    started = time.monotonic()
    results = run_all(operation.run, left, processes)
    with closing(results), progress(len(left)) as advance:
        for path, result in results:
            try:
                coded = result()
            except (DataError, BitstreamError) as error:
                faults[path] = str(error)
                advance(f"rdc: {path}: {error}", True)
                continue
            write_bytes_atomically(outputs[path], coded.data)
            done.append(coded)
            advance(f"{outputs[path]}: {described(coded)}", False)
    print(_summary(done, time.monotonic() - started))
    if faults:
        raise DataError(
            "every file of a folder can be coded",
            f"{len(faults)} of {len(left)} that cannot: {first_few(map(str, faults))}",
            "the others are finished; run the same command again for these alone",
        )


def output_paths(
    inputs: Iterable[Path], source: Path, target: Path, suffix: str
) -> dict[Path, Path]:
    """Output of each input: the same path under `target`, with `suffix`.

    Raises:
      ConfigError: two inputs differ in their endings alone, or `target` is a file.
    """
    if target.exists() and not target.is_dir():
        raise ConfigError(
            "the output of a folder is a folder", f"{target}, a file", "name another"
        )
    outputs: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    for path in inputs:
        output = target / path.relative_to(source).with_suffix(suffix)
        if output in owners:
            raise ConfigError(
                "every input has an output of its own",
                f"{owners[output]} and {path}, both {output}",
                "rename one of them or move it to another folder",
            )
        outputs[path] = output
        owners[output] = path
    return outputs


def described(coded: Coded) -> str:
    """One image in words."""
    return (
        f"{coded.width_px} x {coded.height_px} pixels, {coded.stream_bytes} bytes, "
        f"{coded.bpp:.4f} bpp"
    )


def _summary(done: list[Coded], seconds: float) -> str:
    if not done:
        return "0 images"
    images = "1 image" if len(done) == 1 else f"{len(done)} images"
    size = sum(coded.stream_bytes for coded in done)
    bpp = sum(coded.bpp for coded in done) / len(done)
    return (
        f"{images}, {size} bytes, mean {bpp:.4f} bpp, "
        f"{len(done) / seconds:.2f} images/s"
    )


@contextmanager
def progress(count: int) -> Iterator[Callable[[str, bool], None]]:
    """A function to call with the line of each file and whether it is at fault.

    On a terminal there is a bar, and faults alone are written out.
    """
    if not sys.stderr.isatty():
        yield lambda line, fault: _say(line)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )
    from rich.text import Text

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=count)

        def advance(line: str, fault: bool) -> None:
            if fault:
                bar.console.print(Text(line))
            bar.advance(task)

        yield advance


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
