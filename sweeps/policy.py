"""What to do after an attempt: pure functions from a job's history to an action.

Whatever ended an attempt, the next one goes on from the newest checkpoint, where the
job has any.

| failure | action |
|---|---|
| lost with its node, preempted, standing still | again after a backoff; given up |
| | after several without a new checkpoint |
| device out of memory | once more in twice the micro-batches; then `oom` |
| host out of memory | again with twice the memory, twice; then `oom` |
| NaN, divergence | once from the last good checkpoint; then `diverged` |
| timeout | once more; then `timeout` |
| same traceback twice | `failed`; of several machines, on two of them |
| bad input | `failed` at once: another attempt would read the same input; of |
| | several machines, after another one said so, too |
| disk full | pauses the sweep; counts for nothing |
| the machine cannot work | counts for nothing; `sweeps.verdicts` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rdc.specs.base import Spec, require

Outcome = Literal[
    "ok",
    "lost",
    "preempted",
    "stalled",
    "oom",
    "host_oom",
    "diverged",
    "timeout",
    "crashed",
    "bad_input",
    "disk_full",
    "node_fault",
]


@dataclass(frozen=True, kw_only=True)
class Ended(Spec):
    """How one attempt ended, as in `attempts/<n>/end.json`.

    Attributes:
      fingerprint: equal for failures of one cause; empty where there is none.
      accumulate: `Request.accumulate` of the attempt.
      memory_factor: `Start.memory_factor` of the attempt.
      step: of its newest checkpoint; 0: none.
      node: where it ran; empty where there is one machine, or nobody knows.
    """

    number: int
    outcome: Outcome
    error: str | None = None
    fingerprint: str = ""
    accumulate: int = 1
    memory_factor: int = 1
    step: int = 0
    node: str = ""
    exit_code: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits(Spec):
    """How often failures are retried.

    Attributes:
      lost: attempts of one job that may be lost, preempted or ended for standing still
        without a new checkpoint.
      crashed: attempts of one job that may crash, each with another fingerprint.
      alike: jobs that fail with one fingerprint, while no other of their stage
        succeeds, which stop the stage.
      stall_minutes: a training that tells of no progress for so long is ended and
        goes on in a new process; None: never.
      backoff_seconds: before the second attempt of a lost job; doubles each time.
      backoff_max_seconds: its upper bound.
      grace_seconds: time to write a checkpoint after a request to stop.
    """

    lost: int = 10
    crashed: int = 4
    alike: int = 3
    stall_minutes: float | None = 60.0
    backoff_seconds: float = 1.0
    backoff_max_seconds: float = 300.0
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("lost", "crashed", "alike"):
            value = getattr(self, name)
            require(value >= 1, f"limits.{name} is at least 1", value)
        for name in ("backoff_seconds", "backoff_max_seconds", "grace_seconds"):
            value = getattr(self, name)
            require(value >= 0, f"limits.{name} is not negative", value)
        minutes = self.stall_minutes
        positive = minutes is None or minutes > 0
        require(positive, "limits.stall_minutes is positive, or null", minutes)

    @property
    def stall_seconds(self) -> float | None:
        return None if self.stall_minutes is None else self.stall_minutes * 60


@dataclass(frozen=True)
class Start:
    """Start an attempt.

    Attributes:
      delay_seconds: before it.
      accumulate: in so many micro-batches.
      memory_factor: with so many times the host memory.
      elsewhere: than on this node, where another one can hold it.
    """

    delay_seconds: float = 0.0
    accumulate: int = 1
    memory_factor: int = 1
    elsewhere: str = ""

    @property
    def is_short(self) -> bool:
        """Whether memory ran out before: the job then has a process for itself."""
        return self.accumulate > 1 or self.memory_factor > 1


@dataclass(frozen=True)
class Promote:
    """The last attempt succeeded: its record becomes the job's."""


@dataclass(frozen=True)
class GiveUp:
    """Quarantine: the job ends with this status and error."""

    status: str
    error: str


Action = Start | Promote | GiveUp
_MOST_MEMORY = 4  # times what was asked for


def next_action(
    history: Sequence[Ended],
    limits: Limits,
    jitter: float = 0.5,
    places: int = 1,
) -> Action:
    """What follows from all attempts of one job so far.

    Args:
      jitter: random number in [0, 1) that spreads the backoff by +-50 %.
      places: machines that can hold the job.
    """
    counted = [ended for ended in history if ended.outcome not in _NOT_THE_JOBS]
    if not counted:
        return Start()
    last = counted[-1]
    again = [ended for ended in counted if ended.outcome == last.outcome]
    once_more = Start(accumulate=last.accumulate, memory_factor=last.memory_factor)
    match last.outcome:
        case "ok":
            return Promote()
        case "lost" | "preempted" | "stalled":
            return _after_loss(counted, limits, jitter)
        case "oom":
            if last.accumulate == 1:
                return replace(once_more, accumulate=2)
            return GiveUp("oom", _error(last, "out of memory again"))
        case "host_oom":
            if last.memory_factor < _MOST_MEMORY:
                return replace(once_more, memory_factor=2 * last.memory_factor)
            error = _error(last, "out of host memory")
            return GiveUp("oom", f"{error}, {len(again)} times: raise it")
        case "diverged":
            return once_more if len(again) == 1 else _given_up("diverged", last)
        case "timeout":
            return once_more if len(again) == 1 else _given_up("timeout", last)
        case "bad_input":
            if _only_there(again, places) and len(again) < 2:
                return replace(once_more, elsewhere=last.node)
            return _given_up("failed", last)
        case "crashed":
            same = [e for e in again if e.fingerprint == last.fingerprint]
            settled = len(same) >= 2 and not _only_there(same, places)
            if settled or len(again) >= limits.crashed:
                return _given_up("failed", last)
            return replace(once_more, elsewhere=last.node)
    raise ValueError(f"unknown outcome {last.outcome}")


# Ends that say nothing of the job.
_NOT_THE_JOBS = ("disk_full", "node_fault")


def _only_there(alike: list[Ended], places: int) -> bool:
    """Whether another machine might do what one did not."""
    (first, *others) = {ended.node for ended in alike}
    return bool(first) and not others and places > 1


_LOSSES = ("lost", "preempted", "stalled")


def _after_loss(counted: list[Ended], limits: Limits, jitter: float) -> Action:
    last = counted[-1]
    losses = _without_progress(counted)
    if losses >= limits.lost:
        status = "preempted" if last.outcome == "preempted" else "failed"
        where = f"at step {last.step}" if last.step else "with none at all"
        return GiveUp(
            status,
            f"lost, preempted or ended for standing still {losses} times without a new "
            f"checkpoint, {where}",
        )
    delay = limits.backoff_seconds * 2.0 ** min(losses - 1, 30)
    return Start(
        delay_seconds=min(delay, limits.backoff_max_seconds) * (0.5 + jitter),
        accumulate=last.accumulate,
        memory_factor=last.memory_factor,
    )


def _without_progress(counted: list[Ended]) -> int:
    """Losses since the newest checkpoint; that of the attempt which wrote it counts."""
    reached = max(ended.step for ended in counted)
    first = next(i for i, ended in enumerate(counted) if ended.step == reached)
    return sum(ended.outcome in _LOSSES for ended in counted[first:])


def _given_up(status: str, last: Ended) -> GiveUp:
    return GiveUp(status, _error(last, last.outcome))


def _error(last: Ended, default: str) -> str:
    return last.error or default
