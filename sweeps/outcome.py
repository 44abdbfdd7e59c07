"""What the end of a process means: its outcome, its error and its fingerprint."""

from __future__ import annotations

import hashlib
import re
import signal

from rdc.errors import ExitCode
from rdc.jobs.layout import LOG_FILE
from sweeps.executor import Attempt, AttemptEnd
from sweeps.policy import Ended, Outcome
from sweeps.state import JobFolder

LOG_TAIL_BYTES = 16_384
_OUTCOMES: dict[int, Outcome] = {
    ExitCode.BAD_INPUT: "bad_input",
    ExitCode.DIVERGED: "diverged",
    ExitCode.OUT_OF_MEMORY: "oom",
    ExitCode.DISK_FULL: "disk_full",
    ExitCode.PREEMPTED: "preempted",
    ExitCode.NODE_FAULT: "node_fault",
    ExitCode.PEER_LOST: "lost",
    ExitCode.INTERRUPTED: "preempted",
    -signal.SIGINT: "preempted",
    -signal.SIGTERM: "preempted",
    # From outside: the node's memory guard, the scheduler, or the user.
    -signal.SIGKILL: "lost",
}


_STATED: dict[str, Outcome] = {"diverged": "diverged", "oom": "oom"}
# What differs between jobs, nodes and folders in texts about one cause.
_OWN = (
    (r"(?:~|\.{1,2})?(?:/[^\s'\":,;()\[\]]+)+", "PATH"),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "ADDRESS"),
    (r"\b0x[0-9a-f]+\b", "#"),
    (r"\b[0-9a-f]{8,}\b", "ID"),
    (r"\d+", "#"),
)


def reading(folder: JobFolder, number: int, end: AttemptEnd | None = None) -> Ended:
    """How an attempt ended. The driver asks when the process is gone, and again in a
    later life, when all that is left is in the folder: the same function answers.

    A sound record decides, whatever became of the process after it was written: of
    several trainings in one process, each has its own. Without one, the process tells.

    Args:
      end: of the process; None where nobody saw it.
    """
    record = folder.attempt_record(number)
    if record is not None and record.status == "ok" and folder.has_model(record):
        return _ended(folder, number, end, "ok", None)
    if end is None and (told := folder.end_of(number)) is not None:
        return told
    code = None if end is None else end.exit_code
    outcome: Outcome
    error = None if record is None else record.error
    if end is not None and end.timed_out:
        limit = end.attempt.timeout_seconds
        outcome, error = "timeout", f"ran for more than {limit:g} s"
    elif end is not None and end.fault:
        outcome, error = "node_fault", end.fault
    elif end is not None and end.stalled:
        limit = end.attempt.stall_seconds
        outcome, error = "stalled", f"told of no progress for {limit:g} s"
    elif end is not None and end.out_of_memory:
        outcome, error = "host_oom", _memory_text(end.attempt)
    elif record is not None and record.status in _STATED:
        outcome = _STATED[record.status]
    elif record is not None and record.status != "ok":
        meant = code if record.exit_code is None else record.exit_code
        outcome = "crashed" if meant is None else _OUTCOMES.get(meant, "crashed")
    elif end is None:
        outcome, error = "lost", "its driver ended before it did"
    elif code is None:
        outcome, error = "lost", "the process was lost with its node"
    else:
        outcome, error = _OUTCOMES.get(code, "crashed"), None
    return _ended(folder, number, end, outcome, error)


def _ended(
    folder: JobFolder,
    number: int,
    end: AttemptEnd | None,
    outcome: Outcome,
    error: str | None,
) -> Ended:
    code = None if end is None else end.exit_code
    log = "" if outcome == "ok" else _tail(folder, number)
    if outcome != "ok" and error is None:
        error = _last_line(log) or _exit_text(code)
    alike = outcome in ("crashed", "bad_input")
    return Ended(
        number=number,
        outcome=outcome,
        error=error,
        fingerprint=fingerprint(error, log, code) if alike else "",
        accumulate=folder.requested(number, "accumulate"),
        memory_factor=folder.requested(number, "memory_factor"),
        step=folder.saved_step(number),
        node="" if end is None else end.node,
        exit_code=code,
        seconds=None if end is None else round(end.seconds, 3),
    )


def fingerprint(error: str | None, log: str, code: int | None) -> str:
    """Equal for failures of one cause, whichever job, node and folder they befell."""
    stated = re.search(r"\[([0-9a-f]{6,})\]$", error or "")
    if stated:
        return stated[1]
    start = log.rfind("Traceback (most recent call last)")
    text = log[start:] if start >= 0 else f"{_exit_text(code)} {error}"
    for pattern, sign in _OWN:
        text = re.sub(pattern, sign, text)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _exit_text(code: int | None) -> str:
    if code == ExitCode.OK:
        return "ended without a sound record"
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _memory_text(attempt: Attempt) -> str:
    asked, factor = attempt.resources.memory_gb, attempt.resources.memory_factor
    what = "not set" if asked is None else f"{asked:g}"
    times = f", taken {factor} times" * (factor > 1)
    setting = f"{attempt.setting}.memory_gb"
    return f"the memory of its machine ran out; {setting} is {what}{times}"


def _last_line(log: str) -> str | None:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:300] if lines else None


def _tail(folder: JobFolder, number: int) -> str:
    try:
        with open(folder.attempt(number) / LOG_FILE, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
