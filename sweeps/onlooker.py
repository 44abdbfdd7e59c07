"""What any process sees of a sweep. It changes nothing, and no driver notices.

| `state` | the driver |
|---|---|
| `running` | works |
| `starting` | works, and has not told of itself yet |
| `ended` | stopped, and told why |
| `gone` | left without a word: killed, or its machine is off |
| `none` | let go of OUT without a word, or is of a version that told nothing |
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rdc.errors import StorageError
from rdc.jobs.job import JOB_KINDS, TrainJob
from rdc.jobs.layout import RECORD_FILE, STATUS_FILE
from rdc.system.files import parsed_json, read_json
from rdc.system.store import Store
from sweeps.lease import Heartbeat, heartbeat
from sweeps.status import StageStatus, SweepStatus, parse_status
from sweeps.store_lease import heartbeat_in

State = Literal["running", "starting", "ended", "gone", "none"]


@dataclass(frozen=True)
class Sight:
    """A sweep at one moment.

    Attributes:
      told: what its driver told last; None: nothing.
      heartbeat: of who holds OUT; None: nobody.
    """

    told: SweepStatus | None
    heartbeat: Heartbeat | None

    @property
    def state(self) -> State:
        beat, told = self.heartbeat, self.told
        own = told is not None and (beat is None or beat.token == told.driver)
        if told is not None and own and told.end is not None:
            return "ended"
        if beat is None:
            return "none"
        if not beat.lives:
            return "gone"
        return "running" if own else "starting"

    @property
    def status(self) -> SweepStatus | None:
        """What was told, without the processes of a driver that works no more: they
        ended with it.
        """
        if self.told is None or self.state in ("running", "ended"):
            return self.told
        stages = []
        for stage in self.told.stages:
            counts = Counter(stage.counts)
            counts["pending"] += counts.pop("running", 0)
            stages.append(replace(stage, counts=dict(+counts)))
        return replace(self.told, stages=tuple(stages), running=(), eta=None)


def look(place: Path | Store) -> Sight:
    """Looks at OUT, a folder or a store.

    Raises:
      ConfigError: the status is one of a newer version.
      StorageError: it is damaged, or the store does not answer.
    """
    if isinstance(place, Store):
        found, beat = place.read(STATUS_FILE), heartbeat_in(place)
        data = None if found is None else found.data
    else:
        beat = heartbeat(place)
        try:
            data = (place / STATUS_FILE).read_bytes()
        except FileNotFoundError:
            data = None
    told = None if data is None else parse_status(parsed_json(data, STATUS_FILE))
    return Sight(told, beat)


def status_of_records(out: Path, name: str, grid: str, planned: int) -> SweepStatus:
    """The jobs of a sweep without a status: those that were begun or planned.

    Args:
      name: of OUT, for people.
      planned: trainings of its plan.
    """
    counts: dict[str, Counter[str]] = {}
    for stage, kind in JOB_KINDS.items():
        statuses = Counter(map(_status, _jobs(out / kind.folder_name)))
        if stage == TrainJob.stage:
            statuses["pending"] += max(0, planned - statuses.total())
        if statuses.total():
            counts[stage] = statuses
    stages = tuple(
        StageStatus(stage=stage, counts={s: n for s, n in own.items() if n})
        for stage, own in counts.items()
    )
    return SweepStatus(grid=grid, out=name, stages=stages)


def _jobs(kind: Path) -> Iterator[str]:
    """Folders of all jobs of a kind."""
    for prefix in _folders(kind):
        yield from _folders(prefix)


def _folders(path: str | Path) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return


def _status(job: str) -> str:
    try:
        return str(read_json(Path(job, RECORD_FILE))["status"])
    except (FileNotFoundError, StorageError):  # not ended, or damaged: it runs again
        return "pending"
