"""What the end of a process means: its outcome, its error and its fingerprint."""

from __future__ import annotations

import hashlib
import re
import signal

from rdc.errors import ExitCode
from rdc.jobs.layout import LOG_FILE
from sweeps.executor import AttemptEnd
from sweeps.policy import Ended, Outcome
from sweeps.state import JobFolder

LOG_TAIL_BYTES = 16_384
_OUTCOMES: dict[int, Outcome] = {
    ExitCode.BAD_INPUT: "bad_input",
    ExitCode.DIVERGED: "diverged",
    ExitCode.OUT_OF_MEMORY: "oom",
    ExitCode.DISK_FULL: "disk_full",
    ExitCode.PREEMPTED: "preempted",
    ExitCode.INTERRUPTED: "preempted",
    -signal.SIGINT: "preempted",
    -signal.SIGTERM: "preempted",
    # From outside: the node's memory guard, the scheduler, or the user.
    -signal.SIGKILL: "lost",
}


def classify(folder: JobFolder, end: AttemptEnd, accumulate: int) -> Ended:
    """How an attempt ended, from its exit code, its record and its log.

    A process of several attempts that ended as it should leaves the rest to their
    records: one training of several may have diverged.
    """
    number, code = end.attempt.number, end.exit_code
    record = folder.attempt_record(number)
    error = record.error if record is not None else None
    outcome: Outcome
    if code == ExitCode.OK and record is not None and record.status == "ok":
        outcome, error = "ok", None
    elif code == ExitCode.OK and record is not None and record.status == "diverged":
        outcome = "diverged"
    elif end.timed_out:
        limit = end.attempt.timeout_seconds
        outcome, error = "timeout", f"ran for more than {limit:g} s"
    elif code is None:
        outcome, error = "lost", "the process was lost with its node"
    elif code in _OUTCOMES:
        outcome = _OUTCOMES[code]
    else:
        outcome = "crashed"
    log = _tail(folder, number)
    if outcome != "ok" and error is None:
        error = _last_line(log) or _exit_text(code)
    return Ended(
        number=number,
        outcome=outcome,
        error=error,
        fingerprint=_fingerprint(error, log, code) if outcome == "crashed" else "",
        accumulate=accumulate,
        step=folder.step(number),
        exit_code=code,
        seconds=round(end.seconds, 3),
    )


def _fingerprint(error: str | None, log: str, code: int | None) -> str:
    stated = re.search(r"\[([0-9a-f]{6,})\]$", error or "")
    if stated:
        return stated[1]
    start = log.rfind("Traceback (most recent call last)")
    text = log[start:] if start >= 0 else f"{_exit_text(code)} {_last_line(log)}"
    text = re.sub(r"0x[0-9a-f]+|\d+", "#", text)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _exit_text(code: int | None) -> str:
    if code == ExitCode.OK:
        return "ended without a sound record"
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


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
