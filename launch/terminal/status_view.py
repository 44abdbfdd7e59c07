"""How a sweep stands, in lines: of this driver or any other, on a terminal or not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich.console import Console, Group
from rich.text import Text

from sweeps.status import (
    STATES,
    Eta,
    Failure,
    RunningStatus,
    StageStatus,
    SweepStatus,
    failed,
)

_BAR_CELLS = 10
_COLUMNS = ("done", "running", "pending", "failed", "blocked")


def status_lines(
    status: SweepStatus, driver: str = "", most_running: int | None = None
) -> list[Text]:
    """The same content wherever it is shown.

    Args:
      driver: who works on it, and how it is with that one.
      most_running: so many processes are listed; None: all.
    """
    lines = [Text.assemble((status.grid or "sweep", "bold"), f" in {status.out}")]
    if driver:
        lines.append(_fact("driver", driver))
    if status.end is not None:
        style = "green" if status.end.exit_code == 0 else "red"
        lines.append(_fact("ended", _ended(status), style))
    lines.append(_fact("jobs", jobs_in_words(status)))
    if any(stage.device_seconds for stage in status.stages):
        lines.append(_fact("device-hours", _device_hours(status)))
    if status.eta is not None and status.end is None:
        lines.append(_fact("ends in", eta_in_words(status.eta)))
        if status.eta.unknown:
            stages = " and ".join(status.eta.unknown)
            lines.append(_fact("", f"without {stages}, of which none ended yet"))
    if status.nodes:
        busy = sum(node.running > 0 for node in status.nodes)
        refused = sum(bool(node.refused) for node in status.nodes)
        none = f", {refused} refused" * bool(refused)
        lines.append(_fact("nodes", f"{busy} at work{none}"))
    lines += _stages(status.stages)
    lines += [Text(s.halted, "red") for s in status.stages if s.halted]
    for node in status.nodes:
        if node.refused:
            lines.append(Text(f"no more jobs for {node.name}: {node.refused}", "red"))
    lines += _running(status.running, most_running)
    lines += _failures(status.failures)
    return lines


def jobs_in_words(status: SweepStatus) -> str:
    """All counts in one line."""
    counts = status.counts
    words = f"{counts['ok']} of {counts.total()} done"
    if counts["running"]:
        slots = f" on {status.slots} slots" if status.slots else ""
        words += f", {counts['running']} running{slots}"
    for state, number in (("failed", failed(counts)), ("blocked", counts["blocked"])):
        if number:
            words += f", {number} {state}"
    return words


def eta_in_words(eta: Eta) -> str:
    words = duration(eta.seconds)
    if eta.low_seconds is not None and eta.high_seconds is not None:
        words += f" ({duration(eta.low_seconds)} to {duration(eta.high_seconds)})"
    if eta.error is not None:
        words += f"; estimates so far were {100 * eta.error:.0f} % off"
    return words


def duration(seconds: float) -> str:
    """In the two largest units that are not zero, as `3 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    amounts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next((i for i, (amount, _) in enumerate(amounts) if amount), 3)
    shown = [
        f"{amount} {unit}" for amount, unit in amounts[first : first + 2] if amount
    ]
    return " ".join(shown) or "0 s"


def _fact(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name:<14}", "dim"), (value, style))


def _ended(status: SweepStatus) -> str:
    assert status.end is not None
    ago = duration(max(0.0, time.time() - status.updated_at))
    return f"{ago} ago, exit code {status.end.exit_code}: {status.end.message}"


def _device_hours(status: SweepStatus) -> str:
    words = f"{_hours(status.device_seconds)} spent"
    if status.eta is not None:
        words += f", about {_hours(status.eta.device_seconds)} left"
    if status.budget_device_seconds is not None:
        words += f"; the budget is {_hours(status.budget_device_seconds)}"
    return words


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.2f}"


def _stages(stages: Sequence[StageStatus]) -> Iterator[Text]:
    width = max([len("stage"), *(len(stage.stage) for stage in stages)])
    heads = "".join(f"{column:>9}" for column in (*_COLUMNS, "hours"))
    yield Text(f"{'stage':<{width}}{heads}", "dim")
    for stage in stages:
        counts = stage.counts
        ok, running, pending, blocked = (counts.get(state, 0) for state in STATES)
        numbers = (ok, running, pending, failed(counts), blocked)
        line = Text(f"{stage.stage:<{width}}")
        for column, number in zip(_COLUMNS, numbers, strict=True):
            style = "red" if column == "failed" and number else ""
            line.append(f"{number or '-':>9}", style)
        yield line.append(f"{_hours(stage.device_seconds):>9}")


def _running(running: Sequence[RunningStatus], most: int | None) -> Iterator[Text]:
    shown = running if most is None else running[:most]
    for one in shown:
        yield _process(one)
    if len(running) > len(shown):
        yield Text(f"... and {len(running) - len(shown)} more processes", "dim")


def _process(one: RunningStatus) -> Text:
    line = Text.assemble(_bar(one), f" {duration(one.seconds):>10}  ")
    line.append(_description(one))
    for name, value in (("loss", one.loss), ("bpp", one.bpp)):
        if value is not None:
            line.append(f" {name} {value:.3f}", "cyan")
    return line.append(f" on {one.node}" * bool(one.node), "dim")


def _description(one: RunningStatus) -> str:
    """What a process does."""
    beside = f" and {one.others} other model{'s' * (one.others > 1)}" * bool(one.others)
    again = f", attempt {one.attempt}" * (one.attempt > 1)
    return f"{one.stage} {one.label}{beside}{again}"


def _bar(one: RunningStatus) -> Text:
    if one.step is None or not one.steps:
        return Text(f"{'':<{_BAR_CELLS}} {'':>4}")
    share = min(1.0, one.step / one.steps)
    full = round(share * _BAR_CELLS)
    return Text.assemble(
        ("━" * full, "green"), ("─" * (_BAR_CELLS - full), "dim"), f" {share:4.0%}"
    )


def _failures(failures: Sequence[Failure]) -> Iterator[Text]:
    if failures:
        yield Text("latest failures", "dim")
    for failure in failures:
        ago = duration(max(0.0, time.time() - failure.at))
        then = failure.status or f"{failure.outcome}, starts again"
        style = "red" if failure.status else "yellow"
        yield Text.assemble(
            (then, style),
            f" {failure.stage} {failure.label}, {ago} ago: ",
            failure.error,
        )
        yield Text(f"  {failure.log}", "dim")


def live_view(console: Console, status: SweepStatus, driver: str = "") -> Group:
    """What fits on the terminal: the list of processes gives way."""
    others = len(status_lines(status, driver, most_running=0))
    room = max(1, console.height - others - 1)
    lines = status_lines(status, driver, most_running=room)
    for line in lines:
        line.truncate(console.width, overflow="ellipsis")
    return Group(*lines)
