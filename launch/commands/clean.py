"""`launch/clean.py`: says what of a sweep's folder may go, and frees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from launch.commands.outputs import check_sweep, open_outputs
from launch.config.app import App, Call
from launch.config.roots import CleanConfig
from rdc.errors import ExitCode, StorageError
from sweeps.cleaning import Waste, waste_of


def run_clean(call: Call[CleanConfig]) -> int:
    """Prints what may go; with `apply`, removes it, while no driver is at work."""
    console, config = Console(), call.config
    outputs, spec = open_outputs(config.out), config.checkpoints
    check_sweep(outputs.folder)
    outputs.refresh()
    if not config.apply:
        waste = list(waste_of(outputs, spec))
        _print(console, waste)
        if waste:
            console.print(f"the same with apply=true frees it: out={config.out}")
        return ExitCode.OK
    with outputs.lease():
        waste = list(waste_of(outputs, spec))
        for one in waste:
            outputs.remove(one.path)
            if one.path.exists():
                raise StorageError("what may go can be removed", one.path)
    _print(console, waste, "freed")
    return ExitCode.OK


def _print(console: Console, waste: Iterable[Waste], done: str = "may go") -> None:
    kinds: dict[str, list[int]] = defaultdict(list)
    for one in waste:
        kinds[one.kind].append(one.bytes)
    table = Table("what", "folders", "bytes", title=f"{done}:")
    for kind, sizes in kinds.items():
        table.add_row(kind, str(len(sizes)), decimal(sum(sizes)))
    console.print(table if kinds else "nothing to free")


CLEAN_APP = App(
    "clean_run",
    CleanConfig,
    run_clean,
    """
Says which checkpoints and models in a sweep's folder no later work needs, and with
apply=true frees them. Records, logs and the models that count stay. Sweeps do the same
by themselves when a job is finished.""",
    (
        "python launch/clean.py out=out/rdc_mini",
        "python launch/clean.py out=out/rdc_mini apply=true",
        "python launch/clean.py out=out/rdc_mini apply=true keep=1",
    ),
)
