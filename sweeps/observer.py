"""What a driver tells, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rdc.errors import ExitCode
from sweeps.executor import Attempt
from sweeps.policy import Action, Ended, Start
from sweeps.tasks import Task

if TYPE_CHECKING:
    from sweeps.driver import Driver


@dataclass
class Running:
    """A process at work: one attempt, or those of several trainings together.

    Attributes:
      task, attempt: the first of them, whose folder the process is given.
      began: by the driver's clock.
      left: of the first job's work, when it began.
      others: the tasks and attempts beside it.
    """

    task: Task
    attempt: Attempt
    start: Start
    began: float
    left: float = 1.0
    others: list[tuple[Task, Attempt]] = field(default_factory=list)


class Observer(Protocol):
    """Told what happens; shows it or not."""

    def started(self, running: Running) -> None: ...

    def ended(self, task: Task, ended: Ended, action: Action) -> None: ...

    def refused(self, node: str, reason: str) -> None:
        """A machine gets no more jobs."""

    def halted(self, stage: str, reason: str) -> None:
        """A stage starts no more jobs."""

    def tick(self, driver: Driver) -> None:
        """Called several times a second."""


@dataclass(frozen=True)
class SweepEnd:
    """Why the driver stopped, and the tasks by final status."""

    exit_code: ExitCode
    message: str
    counts: Mapping[str, int]
    started: int
