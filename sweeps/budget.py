"""What a sweep may take, and what it took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rdc.specs.base import Spec, require
from sweeps.outputs import Outputs
from sweeps.state import JobFolder
from sweeps.status import read_status
from sweeps.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Budget(Spec):
    """The group `budget`; None: no bound.

    Attributes:
      hours: a driver stops after so long.
      device_hours: a sweep stops when its processes took so many, over all drivers.
    """

    hours: float | None = None
    device_hours: float | None = None

    def __post_init__(self) -> None:
        for name, hours in self.to_dict().items():
            positive = hours is None or hours > 0
            require(positive, f"budget.{name} is positive", hours)

    @property
    def device_seconds(self) -> float | None:
        return None if self.device_hours is None else self.device_hours * 3600

    def reached(self, seconds: float, device_seconds: float) -> str | None:
        """What is spent, in words; None: there is some left.

        Args:
          seconds: that the driver has worked.
          device_seconds: of all processes, those of earlier drivers included.
        """
        if self.hours is not None and seconds >= self.hours * 3600:
            return f"the budget of {self.hours:g} h is spent"
        most = self.device_seconds
        if most is not None and device_seconds >= most:
            return f"the budget of {self.device_hours:g} device-hours is spent"
        return None


def spent_before(outputs: Outputs, tasks: Iterable[Task]) -> Mapping[str, float]:
    """Device-seconds by stage that earlier drivers' processes took.

    Their last status tells, of what was lost with a driver, too. Where there is none,
    the attempts' records and ends do.
    """
    status = read_status(outputs.folder)
    if status is None:
        return _spent_by_attempts(outputs, tasks)
    return {one.stage: one.device_seconds for one in status.stages}


def _spent_by_attempts(outputs: Outputs, tasks: Iterable[Task]) -> Mapping[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for task in tasks:
        path = task.job.folder(outputs.folder)
        folder = JobFolder(path, task.job_id, outputs)
        for number in folder.numbers():
            told = folder.end_of(number) or folder.attempt_record(number)
            if told is not None and told.seconds is not None:
                spent[task.job.stage] += told.seconds * task.resources.devices
    return spent
