"""What people read of a sweep: the driver's own view and `launch/status.py`, alike."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from launch.commands.status import STATUS_APP
from launch.config.app import run_app
from launch.terminal.display import Display
from launch.terminal.status_view import duration, live_view, status_lines
from rdc.jobs.layout import STATUS_FILE
from rdc.system.files import write_json_atomically
from sweeps.lease import Lease
from sweeps.status import (
    End,
    Eta,
    Failure,
    NodeStatus,
    RunningStatus,
    StageStatus,
    SweepStatus,
)

LONG = "a reason that is longer than any terminal is wide, " * 3
STATUS = SweepStatus(
    grid="rdc_full",
    out="s3://bucket/full",
    stages=(
        StageStatus(
            stage="train",
            counts={"ok": 230, "running": 14, "pending": 325, "oom": 1, "failed": 1},
            device_seconds=1_480_000.0,
        ),
        StageStatus(stage="evaluate", counts={"ok": 180, "blocked": 2}, halted=LONG),
    ),
    seconds=12_300.0,
    slots=16,
    running=tuple(
        RunningStatus(
            stage="train",
            label=f"rdc_g {number}",
            job_id=str(number),
            attempt=2,
            seconds=3720.0,
            node="gpu3",
            step=15_000,
            steps=20_000,
            loss=1.2345,
        )
        for number in range(14)
    ),
    nodes=(NodeStatus(name="gpu3", running=14), NodeStatus(name="gpu7", refused=LONG)),
    budget_device_seconds=3_600_000.0,
    eta=Eta(
        seconds=192_000.0,
        device_seconds=3_100_000.0,
        low_seconds=180_000.0,
        high_seconds=204_000.0,
        error=0.043,
        unknown=("benchmark",),
    ),
    failures=(
        Failure(
            stage="train",
            label="rdc_a",
            outcome="lost",
            error=LONG,
            log="s3://bucket/full/runs/ab/abc/attempts/1/log.txt",
            at=time.time() - 300,
        ),
    ),
)


def test_all_that_was_told_is_in_the_lines() -> None:
    lines = (line.plain.split() for line in status_lines(STATUS, "4711 on host"))
    text = "\n".join(map(" ".join, lines))
    for fact in (
        "rdc_full in s3://bucket/full",
        "410 of 753 done, 14 running on 16 slots, 2 failed, 2 blocked",
        "411 spent, about 861 left; the budget is 1000",
        "2 d 5 h (2 d 2 h to 2 d 8 h); estimates so far were 4 % off",
        "without benchmark, of which none ended yet",
        "1 at work, 1 refused",
        f"no more jobs for gpu7: {LONG.strip()}",
        "train 230 14 325 2 - 411",
        " 75% 1 h 2 min train rdc_g 13, attempt 2 loss 1.234 on gpu3",
        f" ago: {LONG.strip()}",
        "lost, starts again train rdc_a, ",
        "s3://bucket/full/runs/ab/abc/attempts/1/log.txt",
    ):
        assert fact in text, fact


def test_a_terminal_is_never_overrun() -> None:
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=True)
    lines = live_view(console, STATUS, "4711 on host").renderables
    assert len(lines) < 24
    assert max(len(line.plain) for line in lines) <= 80
    assert any("more processes" in line.plain for line in lines)


def test_the_driver_shows_it_on_a_terminal_and_a_line_elsewhere() -> None:
    for terminal in (True, False):
        console = Console(
            width=80, height=40, file=io.StringIO(), force_terminal=terminal
        )
        with Display(console) as display:
            display.show(STATUS)
            shown = console.file.getvalue()
        assert ("rdc_g 0" in shown) == terminal


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (3725, "1 h 2 min"), (86_400, "1 d"), (7, "7 s")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_command_says_the_same_and_how_it_is_with_the_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lease(tmp_path) as lease:
        own = replace(STATUS, driver=lease.holder["token"])
        write_json_atomically(tmp_path / STATUS_FILE, own.to_dict())
        assert run_app(STATUS_APP, [f"out={tmp_path}"]) == 0
        text = capsys.readouterr().out
        assert (
            f"{lease.holder['pid']} on {lease.holder['host']}, for 3 h 25 min" in text
        )
        assert f"no more jobs for gpu7: {LONG}" in text  # in one line
    ended = replace(own, end=End(exit_code=4, message="the budget is spent"))
    write_json_atomically(tmp_path / STATUS_FILE, ended.to_dict())
    assert run_app(STATUS_APP, [f"out={tmp_path}", "follow=true"]) == 0
    assert "exit code 4: the budget is spent" in capsys.readouterr().out
    assert run_app(STATUS_APP, [f"out={tmp_path}", "format=json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["end"]["exit_code"]) == ("ended", 4)


def test_a_damaged_status_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / STATUS_FILE).write_text("{")
    assert run_app(STATUS_APP, [f"out={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
