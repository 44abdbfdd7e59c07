"""How a sweep stands: `OUT/status.json`, which its driver writes and anybody reads.

Nothing depends on it but what people see, and what earlier drivers spent: it may be
old, and where it is missing, plan and records tell (`sweeps.onlooker`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdc.errors import ConfigError, StorageError
from rdc.jobs.layout import STATUS_FILE
from rdc.specs.base import Spec, require
from rdc.system.files import read_json

STATUS_SCHEMA_VERSION = 1
# All that a job of a stage may be; other final statuses are failures.
STATES = ("ok", "running", "pending", "blocked")


@dataclass(frozen=True, kw_only=True)
class StageStatus(Spec):
    """One stage of a sweep.

    Attributes:
      counts: jobs by `STATES` or final status.
      device_seconds: that its processes took, those of earlier drivers included.
      halted: why it starts nothing more; empty: it does.
    """

    stage: str
    counts: Mapping[str, int]
    device_seconds: float = 0.0
    halted: str = ""


@dataclass(frozen=True, kw_only=True)
class RunningStatus(Spec):
    """A process at work.

    Attributes:
      others: trainings beside the first one in it.
      node: where it runs; empty where there is one machine, or nobody knows.
      step, steps: that it told last; None: of no training, or of none yet.
      loss, bpp: of its last steps.
    """

    stage: str
    label: str
    job_id: str
    attempt: int
    seconds: float
    others: int = 0
    node: str = ""
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    bpp: float | None = None


@dataclass(frozen=True, kw_only=True)
class NodeStatus(Spec):
    """A machine that has jobs, or gets none.

    Attributes:
      refused: why it gets no more; empty: it does.
    """

    name: str
    running: int = 0
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure(Spec):
    """An attempt that was not good.

    Attributes:
      status: of the job from now on; empty: it starts again.
      log: where its log is.
      at: seconds since 1970.
    """

    stage: str
    label: str
    outcome: str
    error: str
    log: str
    at: float
    status: str = ""


@dataclass(frozen=True, kw_only=True)
class Eta(Spec):
    """When the rest ends, as what ended so far tells.

    Attributes:
      low_seconds, high_seconds: by the error so far; None: nothing to compare yet.
      device_seconds: that the rest takes.
      error: relative, root mean square: of what earlier estimates said of the jobs
        that ended since.
      unknown: stages of which nothing ended, so that they are not in it.
    """

    seconds: float
    device_seconds: float
    low_seconds: float | None = None
    high_seconds: float | None = None
    error: float | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class End(Spec):
    """Why the driver stopped."""

    exit_code: int
    message: str


@dataclass(frozen=True, kw_only=True)
class SweepStatus(Spec):
    """How a sweep stands.

    Attributes:
      grid: its name.
      out: its place, for people.
      driver: token of its lease (`sweeps.lease`); empty: none tells of itself.
      host, pid: of the driver's process.
      seconds: that the driver has worked.
      updated_at: seconds since 1970.
      slots: processes like those of most jobs that all machines hold.
      budget_device_seconds: the sweep stops after so many; None: never.
      failures: the latest, newest first.
      end: None: the driver works on.
    """

    grid: str
    out: str
    stages: tuple[StageStatus, ...]
    driver: str = ""
    host: str = ""
    pid: int = 0
    seconds: float = 0.0
    updated_at: float = 0.0
    slots: int = 0
    running: tuple[RunningStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()
    budget_device_seconds: float | None = None
    eta: Eta | None = None
    failures: tuple[Failure, ...] = ()
    end: End | None = None
    schema_version: int = STATUS_SCHEMA_VERSION

    @property
    def counts(self) -> Counter[str]:
        """Jobs of all stages, as `StageStatus.counts`."""
        return total(stage.counts for stage in self.stages)

    @property
    def device_seconds(self) -> float:
        return sum(stage.device_seconds for stage in self.stages)


def total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The sum of several counts."""
    summed: Counter[str] = Counter()
    for one in counts:
        summed.update(one)
    return summed


def failed(counts: Mapping[str, int]) -> int:
    """Jobs that ended with another final status than `ok`."""
    return sum(number for state, number in counts.items() if state not in STATES)


def parse_status(values: Mapping[str, Any]) -> SweepStatus:
    """Of the content of `status.json`.

    Raises:
      ConfigError: a newer version of this program wrote it, or it is something else.
    """
    version = values.get("schema_version")
    require(
        version == STATUS_SCHEMA_VERSION,
        f"{STATUS_FILE} is of version {STATUS_SCHEMA_VERSION}",
        version,
        "look with the program that runs the sweep",
    )
    return SweepStatus.from_dict(values, STATUS_FILE)


def read_status(out: Path) -> SweepStatus | None:
    """`OUT/status.json`; None where there is none that can be read."""
    try:
        return parse_status(read_json(out / STATUS_FILE))
    except (FileNotFoundError, StorageError, ConfigError):
        return None
