"""What runs attempts: the protocol between the driver and its executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rdc.jobs.parcel import Parcel
from sweeps.capacity import Capacity, Resources


@dataclass(frozen=True)
class Attempt:
    """One process to start: it reads and writes in `folder`.

    Attributes:
      timeout_seconds: it is ended after so long.
      stall_seconds: it is ended after so long without progress.
      setting: where its resources are asked for, as `hardware.train`.
      beside: folders of the other trainings in the process, which tell of theirs.
      elsewhere: it starts on another node than this, where one can hold it.
      parcels: what these folders begin with, in this order, where the process does not
        see OUT and they are on its own machine; (): all are in OUT.
    """

    job_id: str
    number: int
    folder: Path
    resources: Resources
    timeout_seconds: float | None = None
    stall_seconds: float | None = None
    setting: str = ""
    beside: tuple[Path, ...] = ()
    elsewhere: str = ""
    parcels: tuple[Parcel, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Of all trainings in the process."""
        return (self.folder, *self.beside)


@dataclass(frozen=True)
class AttemptEnd:
    """How a process ended.

    Attributes:
      exit_code: negative for a signal; None where the process was lost with its node
        or its watcher.
      timed_out: it was ended because it ran for longer than `timeout_seconds`.
      stalled: it was ended because it stood still for `stall_seconds`.
      out_of_memory: it was killed because the memory of its machine ran out.
      node: where it ran; empty where there is one machine, or nobody knows.
      fault: why that machine could not even start it.
      brought: of each of its folders that is not in OUT, what came home: path there ->
        content.
    """

    attempt: Attempt
    exit_code: int | None
    seconds: float
    timed_out: bool = False
    stalled: bool = False
    out_of_memory: bool = False
    node: str = ""
    fault: str = ""
    brought: tuple[Mapping[str, bytes], ...] = ()


class Executor(Protocol):
    """Starts attempts and tells how they ended. Called from one thread."""

    def capacity(self) -> Capacity: ...

    def has_room(self, wanted: Resources) -> bool:
        """Whether such a process can start beside those that run."""

    def places(self, wanted: Resources) -> int:
        """Machines that can hold such a process, busy or not."""

    def avoid(self, node: str) -> str:
        """Starts nothing more on a node; returns its name for people."""

    def node_of(self, attempt: Attempt) -> str:
        """Where it runs, for people; empty where there is one machine, or not yet."""

    def foresee(self, waiting: Iterable[Resources]) -> None:
        """What waits for room, for an executor whose capacity grows."""

    def start(self, attempt: Attempt) -> None:
        """Starts a process; its standard output and error go to `folder/log.txt`.

        Where other processes of this machine keep it waiting, it starts later.

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
