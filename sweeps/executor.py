"""What runs attempts: the protocol between the driver and its executors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rdc.specs.base import Spec, require


@dataclass(frozen=True, kw_only=True)
class Resources(Spec):
    """What one process uses.

    Attributes:
      cpus: cores; None takes a whole machine, so that nothing disturbs timing.
      gpus: accelerators, where a share below 1 is possible on Ray alone.
    """

    cpus: int | None = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        require(self.cpus is None or self.cpus >= 1, "cpus is at least 1", self.cpus)
        require(self.gpus >= 0, "gpus is not negative", self.gpus)


@dataclass(frozen=True)
class Capacity:
    """What an executor has now, over all machines, and on its largest machine."""

    cpus: int
    gpus: float
    machine_cpus: int


@dataclass(frozen=True)
class Attempt:
    """One process to start: it reads and writes in `folder`."""

    job_id: str
    number: int
    folder: Path
    resources: Resources
    timeout_seconds: float | None = None


@dataclass(frozen=True)
class AttemptEnd:
    """How a process ended.

    Attributes:
      exit_code: negative for a signal; None where the process was lost with its node
        or its watcher.
      timed_out: it was ended because it ran for longer than `timeout_seconds`.
    """

    attempt: Attempt
    exit_code: int | None
    seconds: float
    timed_out: bool = False


class Executor(Protocol):
    """Starts attempts and tells how they ended. Called from one thread."""

    def capacity(self) -> Capacity: ...

    def start(self, attempt: Attempt) -> None:
        """Starts a process; its standard output and error go to `folder/log.txt`.

        Raises:
          StorageError: the log cannot be written.
        """

    def wait(self, seconds: float) -> list[AttemptEnd]:
        """The attempts that ended; waits up to `seconds` for the first one."""

    def stop(self, grace_seconds: float) -> None:
        """Asks all processes to save their state and end; kills them after a grace.

        Their ends still come through `wait`.
        """

    def close(self) -> None:
        """Kills what is left and releases everything."""
