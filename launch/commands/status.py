"""`launch/status.py`: how a sweep stands, from any shell."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from launch.config.app import App, Call
from launch.config.roots import StatusConfig, absolute
from launch.terminal.status_view import duration, live_view, status_lines
from rdc.errors import ExitCode
from rdc.system.store import Store, is_url
from sweeps.onlooker import Sight, look, status_of_records
from sweeps.status import SweepStatus

_LIVE_SECONDS = 2.0
_LINES_SECONDS = 15.0
_LATE_SECONDS = 20.0  # from which on the age of a heartbeat is told


def run_status(call: Call[StatusConfig]) -> int:
    """Prints it once, or until the driver stops."""
    config, console = call.config, Console()
    place = Store(config.out) if is_url(config.out) else absolute(config.out)
    as_json = config.format == "json"
    live = config.follow and console.is_terminal and not as_json
    sights = _sights(place, _LIVE_SECONDS if live else _LINES_SECONDS)
    if not config.follow:
        sights = iter([next(sights)])
    if live:
        with Live(console=console, auto_refresh=False) as view:
            for sight, status in sights:
                text = live_view(console, status, _driver(sight))
                view.update(text, refresh=True)
        return ExitCode.OK
    for sight, status in sights:
        if as_json:
            print(json.dumps(_plain(sight, status)), flush=True)
            continue
        for line in status_lines(status, _driver(sight)):
            console.print(line, soft_wrap=True)
    return ExitCode.OK


def _sights(
    place: Path | Store, pause_seconds: float
) -> Iterator[tuple[Sight, SweepStatus]]:
    """Until the driver stops."""
    while True:
        sight = look(place)
        yield sight, sight.status or _from_records(place)
        if sight.state not in ("running", "starting"):
            return
        time.sleep(pause_seconds)


def _from_records(place: Path | Store) -> SweepStatus:
    """Where no driver told of itself; imported late, for it is rare and slow."""
    from launch.commands.outputs import check_sweep
    from sweeps.migration import read_sweep
    from sweeps.outputs import Outputs
    from sweeps.plan_file import read_plan
    from sweeps.stored_outputs import StoredOutputs

    if isinstance(place, Store):
        outputs: Outputs = StoredOutputs(place, Path("/"))
    else:
        outputs = Outputs(place)
    outputs.refresh(again=False)
    check_sweep(outputs.folder)
    grid = (read_sweep(outputs.folder) or {}).get("grid", "")
    planned = len(read_plan(outputs.folder))
    return status_of_records(outputs.folder, outputs.name, grid, planned)


def _driver(sight: Sight) -> str:
    """Who works on it, and how it is with that one."""
    beat, status = sight.heartbeat, sight.status
    if beat is None:
        return "none at work"
    age = duration(beat.age_seconds)
    if sight.state == "gone":
        return f"{beat.process} is gone: its last heartbeat was {age} ago"
    if sight.state == "starting" or status is None:
        return f"{beat.process} has begun, and told nothing yet"
    words = f"{beat.process}, for {duration(status.seconds)}"
    late = f", its last heartbeat was {age} ago" * (beat.age_seconds > _LATE_SECONDS)
    return words + late


def _plain(sight: Sight, status: SweepStatus) -> dict[str, Any]:
    beat = sight.heartbeat
    return {
        "state": sight.state,
        "heartbeat_age_seconds": None if beat is None else round(beat.age_seconds, 1),
        **status.to_dict(),
    }


STATUS_APP = App(
    "status_run",
    StatusConfig,
    run_status,
    """
Says how a sweep stands: jobs by stage and state, what runs, when it ends, what failed
and where the logs are, and whether its driver lives. It reads only, from any shell of
any machine that sees OUT, a folder or a store; the driver does not notice.""",
    (
        "python launch/status.py out=out/rdc_mini",
        "python launch/status.py out=s3://bucket/full follow=true",
        "python launch/status.py out=out/rdc_mini format=json",
    ),
)
