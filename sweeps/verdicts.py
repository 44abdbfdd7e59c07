"""Whose fault failures are that several jobs share: a stage's, or a machine's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweeps.policy import Ended

# Ends that another machine may not repeat.
_BLAMED = ("crashed", "bad_input", "stalled")


@dataclass(frozen=True)
class Verdict:
    """What gets no more jobs.

    Attributes:
      stage, node: one of them is given.
      reason: for people.
    """

    reason: str
    stage: str = ""
    node: str = ""


class Verdicts:
    """Remembers the ends of attempts and judges.

    Args:
      alike: jobs that it takes.
    """

    def __init__(self, alike: int):
        self._alike = alike
        # Of each stage since its last success: (job, node) by fingerprint.
        self._failures: dict[str, dict[str, set[tuple[str, str]]]] = defaultdict(dict)
        # Jobs that failed on a node and succeeded on another one.
        self._only_there: dict[str, set[str]] = defaultdict(set)
        self._judged: set[str] = set()

    def succeeded(
        self, stage: str, job_id: str, node: str, earlier: Iterable[Ended]
    ) -> list[Verdict]:
        """A job's attempt is good: what that says of machines where it was not.

        Args:
          earlier: the attempts before.
        """
        self._failures.pop(stage, None)
        failed_on = {
            ended.node
            for ended in earlier
            if ended.outcome in _BLAMED and ended.node not in ("", node)
        }
        verdicts = []
        for other in failed_on - self._judged:
            self._only_there[other].add(job_id)
            jobs = len(self._only_there[other])
            if jobs >= self._alike:
                reason = f"{jobs} jobs failed there and succeeded elsewhere"
                verdicts.append(self._against(other, reason))
        return verdicts

    def failed(
        self, stage: str, job_id: str, ended: Ended, places: int
    ) -> list[Verdict]:
        """A job's attempt is not.

        Args:
          places: machines that can hold it.
        """
        if not ended.fingerprint or ended.node in self._judged:
            return []
        failures = self._failures[stage].setdefault(ended.fingerprint, set())
        failures.add((job_id, ended.node))
        jobs = len({job for job, _ in failures})
        if jobs < self._alike:
            return []
        node, *others = {node for _, node in failures}
        if node and not others and places > 1:
            del self._failures[stage][ended.fingerprint]
            reason = f"{jobs} jobs failed alike there and nowhere else: {ended.error}"
            return [self._against(node, reason)]
        reason = (
            f"stage {stage} stopped: {jobs} jobs failed alike and none "
            f"succeeded since, so it is the code or the set-up: {ended.error}"
        )
        return [Verdict(reason, stage=stage)]

    def counted(self, history: Sequence[Ended]) -> list[Ended]:
        """Without what failed on machines that were judged since."""
        return [e for e in history if e.outcome == "ok" or e.node not in self._judged]

    def faulty(self, node: str, reason: str) -> list[Verdict]:
        """A machine said itself that it cannot work."""
        if node in self._judged:
            return []
        return [self._against(node, reason.removeprefix("error: "))]

    def _against(self, node: str, reason: str) -> Verdict:
        self._judged.add(node)
        return Verdict(reason, node=node)
