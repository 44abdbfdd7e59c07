"""What to do after an attempt: pure functions from a job's history to an action.

| failure | action |
|---|---|
| worker or node lost, preemption | resume from checkpoint; budget, backoff, jitter |
| device out of memory | once more, resumed, in twice the micro-batches; then `oom` |
| NaN, divergence | once from the last good checkpoint; then `diverged` |
| timeout | once more from the checkpoint; then `timeout` |
| same traceback twice | `failed` |
| bad input | `failed` at once: another attempt would read the same input |
| disk full | pauses the sweep; counts for nothing |
| early failures of several jobs with one fingerprint | stops the sweep |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rdc.specs.base import Spec, require

Outcome = Literal[
    "ok",
    "lost",
    "preempted",
    "oom",
    "diverged",
    "timeout",
    "crashed",
    "bad_input",
    "disk_full",
]


@dataclass(frozen=True, kw_only=True)
class Ended(Spec):
    """How one attempt ended, as in `attempts/<n>/end.json`.

    Attributes:
      fingerprint: equal for failures of one cause; empty where there is none.
      accumulate: `Request.accumulate` of the attempt.
      step: training steps that were done, from `progress.json`.
    """

    number: int
    outcome: Outcome
    error: str | None = None
    fingerprint: str = ""
    accumulate: int = 1
    step: int = 0
    exit_code: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits(Spec):
    """How often failures are retried.

    Attributes:
      lost: attempts of one job that may be lost or preempted.
      lost_at_one_step: of these, in a row without one more training step between.
      crashed: attempts of one job that may crash, each with another fingerprint.
      early_failures: jobs that crash with one fingerprint, before any job of
        their stage succeeds, which stop it.
      backoff_seconds: before the second attempt of a lost job; doubles each time.
      backoff_max_seconds: its upper bound.
      grace_seconds: time to write a checkpoint after a request to stop.
    """

    lost: int = 100
    lost_at_one_step: int = 10
    crashed: int = 4
    early_failures: int = 3
    backoff_seconds: float = 1.0
    backoff_max_seconds: float = 300.0
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("lost", "lost_at_one_step", "crashed", "early_failures"):
            value = getattr(self, name)
            require(value >= 1, f"limits.{name} is at least 1", value)
        for name in ("backoff_seconds", "backoff_max_seconds", "grace_seconds"):
            value = getattr(self, name)
            require(value >= 0, f"limits.{name} is not negative", value)


@dataclass(frozen=True)
class Start:
    """Start an attempt, from a checkpoint of an earlier one where `resume` is set."""

    delay_seconds: float = 0.0
    resume: bool = False
    accumulate: int = 1


@dataclass(frozen=True)
class Promote:
    """The last attempt succeeded: its record becomes the job's."""


@dataclass(frozen=True)
class GiveUp:
    """Quarantine: the job ends with this status and error."""

    status: str
    error: str


Action = Start | Promote | GiveUp


def next_action(
    history: Sequence[Ended], limits: Limits, jitter: float = 0.5
) -> Action:
    """What follows from all attempts of one job so far.

    Args:
      jitter: random number in [0, 1) that spreads the backoff by +-50 %.
    """
    counted = [ended for ended in history if ended.outcome != "disk_full"]
    if not counted:
        return Start()
    last = counted[-1]
    again = [ended for ended in counted if ended.outcome == last.outcome]
    resume = Start(resume=True, accumulate=last.accumulate)
    match last.outcome:
        case "ok":
            return Promote()
        case "lost" | "preempted":
            return _after_loss(counted, limits, jitter)
        case "oom":
            if last.accumulate == 1:
                return Start(resume=True, accumulate=2)
            return GiveUp("oom", _error(last, "out of memory again"))
        case "diverged":
            return resume if len(again) == 1 else _given_up("diverged", last)
        case "timeout":
            return resume if len(again) == 1 else _given_up("timeout", last)
        case "bad_input":
            return _given_up("failed", last)
        case "crashed":
            same = [e for e in again if e.fingerprint == last.fingerprint]
            if len(same) >= 2 or len(again) >= limits.crashed:
                return _given_up("failed", last)
            return resume
    raise ValueError(f"unknown outcome {last.outcome}")


def _after_loss(counted: list[Ended], limits: Limits, jitter: float) -> Action:
    last = counted[-1]
    losses = [ended for ended in counted if ended.outcome in ("lost", "preempted")]
    in_a_row = 0
    for ended in reversed(counted):
        if ended.outcome != "lost" or ended.step != last.step:
            break
        in_a_row += 1
    if len(losses) > limits.lost:
        return GiveUp("preempted", f"lost or preempted {len(losses)} times")
    if in_a_row >= limits.lost_at_one_step:
        return GiveUp("failed", f"killed {in_a_row} times in a row at step {last.step}")
    delay = limits.backoff_seconds * 2.0 ** min(max(in_a_row - 1, 0), 30)
    return Start(
        delay_seconds=min(delay, limits.backoff_max_seconds) * (0.5 + jitter),
        resume=True,
        accumulate=last.accumulate,
    )


def _given_up(status: str, last: Ended) -> GiveUp:
    return GiveUp(status, _error(last, last.outcome))


def _error(last: Ended, default: str) -> str:
    return last.error or default


def is_common_failure(jobs_alike: int, successes: int, limits: Limits) -> bool:
    """Whether the sweep must stop: it is the code, not the job.

    Args:
      jobs_alike: jobs of one stage that crashed with one fingerprint.
      successes: jobs of that stage that succeeded.
    """
    return successes == 0 and jobs_alike >= limits.early_failures
