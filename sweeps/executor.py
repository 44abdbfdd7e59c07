"""What runs attempts: the protocol between the driver and its executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rdc.errors import ConfigError
from rdc.jobs.parcel import Parcel
from rdc.specs.base import Spec, require

_ROUNDING = 1e-6  # thirds of a GPU add up to one


@dataclass(frozen=True, kw_only=True)
class Resources(Spec):
    """What one process uses.

    Attributes:
      cpus: cores; None takes a whole machine.
      gpus: accelerators: a share of one, or a whole number.
      exclusive: no other process of any sweep works on the machine meanwhile, so that
        nothing disturbs timing.
    """

    cpus: int | None = 1
    gpus: float = 0.0
    exclusive: bool = False

    def __post_init__(self) -> None:
        require(self.cpus is None or self.cpus >= 1, "cpus is at least 1", self.cpus)
        require(
            0 <= self.gpus <= 1 or self.gpus == int(self.gpus) > 1,
            "gpus is a share of one, from 0 to 1, or a whole number",
            self.gpus,
        )


@dataclass(frozen=True)
class Machine:
    """What one machine has."""

    cpus: int
    gpus: float = 0.0


@dataclass(frozen=True)
class Capacity:
    """What an executor has now."""

    machines: tuple[Machine, ...]

    @property
    def cpus(self) -> int:
        return sum(machine.cpus for machine in self.machines)

    @property
    def gpus(self) -> float:
        return sum(machine.gpus for machine in self.machines)

    @property
    def machine_gpus(self) -> float:
        """Of the machine that has the most."""
        return max((machine.gpus for machine in self.machines), default=0.0)

    def cpus_of(self, wanted: Resources) -> int:
        """Cores that a process takes: at most those of the largest machine that has its
        GPUs, and all of that one where it wants a whole machine."""
        fitting = [m.cpus for m in self.machines if m.gpus + _ROUNDING >= wanted.gpus]
        most = max(fitting or [m.cpus for m in self.machines], default=1) or 1
        return min(wanted.cpus or most, most)

    def places(self, wanted: Resources) -> int:
        """Machines that can hold such a process, busy or not."""
        cpus = self.cpus_of(wanted)
        return sum(
            m.cpus >= cpus and m.gpus + _ROUNDING >= wanted.gpus for m in self.machines
        )

    def refuse_what_never_fits(self, wanted: Resources, stage: str) -> None:
        """Raises `ConfigError` where no machine holds a process of a stage."""
        if wanted.gpus > self.machine_gpus:
            raise ConfigError(
                f"a {stage} job finds its GPUs on one machine: "
                f"hardware.{stage}.gpus is at most {self.machine_gpus:g} here",
                f"{wanted.gpus:g}",
                "lower it, choose hardware=cpu, or add such a machine",
            )

    def has_room(self, wanted: Resources, running: Iterable[Resources]) -> bool:
        """Whether `wanted` fits beside what runs."""
        free_cpus, free_gpus = self.cpus, self.gpus + _ROUNDING
        for other in running:
            free_cpus -= self.cpus_of(other)
            free_gpus -= other.gpus
        return self.cpus_of(wanted) <= free_cpus and wanted.gpus <= free_gpus


@dataclass(frozen=True)
class Attempt:
    """One process to start: it reads and writes in `folder`.

    Attributes:
      timeout_seconds: it is ended after so long.
      stall_seconds: it is ended after so long without progress.
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
