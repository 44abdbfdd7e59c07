"""The decoder's networks on a CPU against PyTorch, Kodak's size, two threads.

`make bench` writes docs/results/decode_cpu.md, its table alone. PyTorch runs in an
environment of its own, .venv-compressai (`make peers`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.test_training import COMPRESSAI_PYTHON, REPOSITORY, machine

RUNNERS = Path(__file__).parent / "decode_peers"
RESULTS = REPOSITORY / "docs" / "results" / "decode_cpu.md"
BEGIN, END = "<!-- measured by make bench -->\n", "<!-- end -->\n"
TURNS = 4

OURS = "rdc"
AS_IT_COMES, CHANNELS_LAST = "PyTorch", "PyTorch, channels_last"
SIDES = {
    OURS: (sys.executable, "run_ours.py"),
    "rdc, every upsampling in phases": (sys.executable, "run_ours.py", "phases"),
    AS_IT_COMES: (COMPRESSAI_PYTHON, "run_peer.py", "contiguous", "fresh"),
    CHANNELS_LAST: (COMPRESSAI_PYTHON, "run_peer.py", "channels_last", "fresh"),
    "PyTorch, channels_last, memory kept": (
        COMPRESSAI_PYTHON,
        "run_peer.py",
        "channels_last",
        "kept",
    ),
}
# Family -> how many times as long PyTorch has to take, as it comes and channels_last.
ASKED = {
    "conv": (1.5, 1.0),
    "elic": (1.5, 1.0),
    "swint": (1.5, 1.0),
    "charm": (1.5, 0.0),
}

Times = tuple[float, float]  # ms of the wall clock, and of all processors together


@contextmanager
def server(side: str, family: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """A process that decodes when asked to, warmed up, and its MACs."""
    python, script, *arguments = SIDES[side]
    with subprocess.Popen(
        [str(python), str(RUNNERS / script), family, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, int(process.stdout.readline())
        process.stdin.close()


def decode(process: subprocess.Popen) -> Times:
    process.stdin.write("\n")
    process.stdin.flush()
    wall, cpu = map(float, process.stdout.readline().split())
    return wall, cpu


def fastest(family: str) -> dict[str, Times]:
    """The least times of every side, measured in turns.

    The least, for a busy machine adds to times and never takes away.
    """
    with ExitStack() as stack:
        started = {s: stack.enter_context(server(s, family)) for s in SIDES}
        assert len({macs for _, macs in started.values()}) == 1, "other networks"
        turns = [
            {side: decode(process) for side, (process, _) in started.items()}
            for _ in range(TURNS)
        ]
    return {
        side: (
            min(turn[side][0] for turn in turns),
            min(turn[side][1] for turn in turns),
        )
        for side in SIDES
    }


@pytest.mark.benchmark
@pytest.mark.timeout(0)
@pytest.mark.parametrize("family", ASKED)
def test_network_stage(family: str) -> None:
    times = fastest(family)
    lines = []
    for side, (wall, cpu) in times.items():
        ratios = [
            value / own for value, own in zip((wall, cpu), times[OURS], strict=True)
        ]
        lines.append(
            f"| {family} | {side} | {ratios[0]:.2f} x | {ratios[1]:.2f} x "
            f"| {wall:.0f} | {cpu:.0f} |"
        )
    print("\n".join(lines))
    write_rows(family, lines)
    as_it_comes, channels_last = (
        times[side][0] / times[OURS][0] for side in (AS_IT_COMES, CHANNELS_LAST)
    )
    assert as_it_comes >= ASKED[family][0]
    assert channels_last >= ASKED[family][1]


def write_rows(family: str, lines: list[str]) -> None:
    """Replaces the rows of one family in the table of the results, and the machine."""
    head = [
        "| family | side | time | processor time | least ms | least processor ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    before, rest = RESULTS.read_text().split(BEGIN)
    table, after = rest.split(END)
    rows = [row for row in table.splitlines() if row.startswith("| ")][len(head) :]
    kept = [row for row in rows if not row.startswith(f"| {family} ")]
    rows = sorted([*kept, *lines], key=lambda row: list(ASKED).index(row.split()[1]))
    body = "\n".join([*head, *rows, "", machine(), ""])
    RESULTS.write_text(before + BEGIN + body + END + after)
