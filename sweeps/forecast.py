"""When a sweep will end, as what ended of it so far tells.

A training's work is its counted FLOPs, that of any other job is one job of its stage.
What work takes is learnt by stage and family, shrunk to the stage where few jobs of the
family ended. What is left is then played through on the slots that
there are, in the order in which the driver starts it.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

from rdc.jobs.records import Record
from sweeps.capacity import Resources
from sweeps.status import Eta
from sweeps.tasks import Task

_SHRINKING_JOBS = 0.5  # of a family, as which its stage counts
_PRIOR_OF_POWER = 1.0  # that it is 1, as so much of the sum of squares
_LEAST_SECONDS = 1e-3
_LEAST_SHARE = 0.05  # of a job's work, from which on its own speed tells of it


@dataclass(frozen=True)
class Part:
    """Work at a job that is done, and what it took.

    Attributes:
      share: of all the job's work.
    """

    job_id: str
    seconds: float
    share: float = 1.0


def part_of(record: Record) -> Part | None:
    """What the last attempt of a finished job did; None: nobody knows how long."""
    if record.seconds is None:
        return None
    summary = record.result.get("summary", {})
    begun, steps = record.result.get("resumed_from_step", 0), summary.get("steps")
    return Part(
        record.job_id,
        record.seconds / summary.get("models_together", 1),
        1 - begun / steps if steps else 1.0,
    )


@dataclass(frozen=True)
class AtWork:
    """A process that runs.

    Attributes:
      part: what it did so far of its first job.
      left: of the job's work.
      jobs: that share the process.
    """

    part: Part
    left: float = 1.0
    jobs: int = 1

    def seconds_left(self, whole: float | None) -> float | None:
        """By its own speed, once it has one.

        Args:
          whole: that a job like its first takes; None: nobody knows.
        """
        seconds, share = self.part.seconds, self.part.share
        if share >= _LEAST_SHARE:
            return self.jobs * seconds * self.left / share
        if whole is None:
            return None
        return self.jobs * max(0.0, whole * self.left - (0.0 if share else seconds))


@dataclass(frozen=True)
class _Speed:
    """Of one stage: `seconds = factor[family] * work ** power`.

    Attributes:
      factors: by family; that of others is `factor`.
    """

    power: float
    factor: float
    factors: Mapping[str, float]

    def seconds(self, task: Task) -> float:
        factor = self.factors.get(task.family, self.factor)
        return factor * _work(task) ** self.power

    @classmethod
    def of(cls, done: Sequence[tuple[Task, Part]]) -> Self:
        """Of what was done at jobs of the stage.

        Logarithms, so that a job of any size tells as much: small networks that fill no
        device are slow for their FLOPs, which the power learns.
        """
        families: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for task, part in done:
            whole = max(part.seconds, _LEAST_SECONDS) / part.share
            point = part.share, math.log(_work(task)), math.log(whole)
            families[task.family].append(point)
        means = {name: _means(points) for name, points in families.items()}
        xx = xy = _PRIOR_OF_POWER
        for name, points in families.items():
            _, mean_x, mean_y = means[name]
            xx += sum(w * (x - mean_x) ** 2 for w, x, _ in points)
            xy += sum(w * (x - mean_x) * (y - mean_y) for w, x, y in points)
        power = xy / xx
        levels = {name: y - power * x for name, (_, x, y) in means.items()}
        level = sum(levels.values()) / len(levels)
        for name, (weight, *_) in means.items():
            own = weight * levels[name] + _SHRINKING_JOBS * level
            levels[name] = own / (weight + _SHRINKING_JOBS)
        factors = {name: math.exp(own) for name, own in levels.items()}
        raw = cls(power, math.exp(level), factors)
        # A mean of logarithms is less than that of seconds.
        more = sum(part.seconds for _, part in done) / sum(
            raw.seconds(task) * part.share for task, part in done
        )
        scaled = {name: more * factor for name, factor in factors.items()}
        return cls(power, more * raw.factor, scaled)


def _means(points: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Of (weight, x, y): the sum of weights, the means of the others."""
    weight = sum(w for w, _, _ in points)
    x = sum(w * x for w, x, _ in points) / weight
    return weight, x, sum(w * y for w, _, y in points) / weight


Speeds = Mapping[str, _Speed]  # by stage


def _speeds(done: Iterable[tuple[Task, Part]]) -> Speeds:
    stages: dict[str, list[tuple[Task, Part]]] = defaultdict(list)
    for task, part in done:
        if part.share >= _LEAST_SHARE:
            stages[task.job.stage].append((task, part))
    return {stage: _Speed.of(own) for stage, own in stages.items()}


def _seconds(speeds: Speeds, task: Task) -> float | None:
    """That a job takes; None: of its stage nothing ended."""
    speed = speeds.get(task.job.stage)
    return None if speed is None else speed.seconds(task)


def _work(task: Task) -> float:
    return 1.0 if task.flops is None else task.flops


@dataclass
class _Earlier:
    """An earlier estimate, and what then happened.

    Attributes:
      ended: jobs, when it was made.
    """

    ended: int
    speeds: Speeds
    expected: float = 0.0
    took: float = 0.0


@dataclass(frozen=True)
class Rest:
    """What is left of a sweep.

    Attributes:
      running: processes.
      waiting: tasks that will start, each after its parent where that is among them.
      shares: of all machines, what a process takes that wants such resources.
    """

    running: Collection[AtWork]
    waiting: Collection[Task]
    shares: Mapping[Resources, float]


class Forecast:
    """Learns from jobs that ended.

    Args:
      tasks: all of the sweep.
    """

    def __init__(self, tasks: Mapping[str, Task]):
        self._tasks = tasks
        self._done: list[tuple[Task, Part]] = []
        self._earlier: list[_Earlier] = []

    def learn(self, part: Part) -> None:
        """A job ended; `part` is what its last process did."""
        task = self._tasks[part.job_id]
        for earlier in self._earlier:
            expected = _seconds(earlier.speeds, task)
            if expected is not None:
                earlier.expected += expected * part.share
                earlier.took += part.seconds
        self._done.append((task, part))
        ended = len(self._done)
        if ended.bit_count() == 1:  # 1, 2, 4, 8, ...
            self._earlier.append(_Earlier(ended, _speeds(self._done)))

    def error(self) -> float | None:
        """Relative, of estimates that were made when an eighth to a half of what ended
        by now had ended; None: there were none.
        """
        errors = [
            earlier.expected / earlier.took - 1
            for earlier in self._earlier
            if len(self._done) <= 8 * earlier.ended and earlier.took > 0
        ]
        if not errors:
            return None
        return math.sqrt(sum(error**2 for error in errors) / len(errors))

    def eta(self, rest: Rest) -> Eta | None:
        """When the rest ends; None where nothing can be said."""
        at_work = ((self._tasks[one.part.job_id], one.part) for one in rest.running)
        speeds = _speeds(chain(self._done, at_work))
        left: list[tuple[Task, float]] = []
        seconds: dict[str, float] = {}
        unknown = set()
        for one in rest.running:
            task = self._tasks[one.part.job_id]
            own = one.seconds_left(_seconds(speeds, task))
            if own is None:
                unknown.add(task.job.stage)
            else:
                left.append((task, own))
        for task in rest.waiting:
            whole = _seconds(speeds, task)
            if whole is None:
                unknown.add(task.job.stage)
            else:
                seconds[task.job_id] = whole
        if not left and not seconds:
            return None
        known = [task for task in rest.waiting if task.job_id in seconds]
        end = _played(left, known, seconds, rest.shares)
        device_seconds = sum(own * task.resources.devices for task, own in left)
        device_seconds += sum(seconds[t.job_id] * t.resources.devices for t in known)
        error = self.error()
        return Eta(
            seconds=end,
            device_seconds=device_seconds,
            low_seconds=None if error is None else end / (1 + error),
            high_seconds=None if error is None else end * (1 + error),
            error=error,
            unknown=tuple(sorted(unknown)),
        )


def _played(
    running: Collection[tuple[Task, float]],
    waiting: Collection[Task],
    seconds: Mapping[str, float],
    shares: Mapping[Resources, float],
) -> float:
    """Seconds until the last of them ends, each started as soon as there is room."""
    order = {task.job_id: (task.priority, i) for i, task in enumerate(waiting)}
    parents = {task.job_id for task, _ in running} | order.keys()
    queues: dict[Resources, list] = defaultdict(list)
    after: dict[str, list[Task]] = defaultdict(list)

    def enqueue(task: Task) -> None:
        heapq.heappush(queues[task.resources], (order[task.job_id], task.job_id, task))

    for task in waiting:
        if task.parent in parents:
            after[task.parent or ""].append(task)
        else:
            enqueue(task)
    ends = [
        (own, number, task.job_id, shares[task.resources])
        for number, (task, own) in enumerate(running)
    ]
    heapq.heapify(ends)
    free, now, number = 1.0 - sum(share for *_, share in ends), 0.0, len(ends)
    while ends or any(queues.values()):
        while fitting := [
            queue[0]
            for wanted, queue in queues.items()
            if queue and (shares[wanted] <= free + 1e-6 or not ends)
        ]:
            _, job_id, task = min(fitting)
            heapq.heappop(queues[task.resources])
            share, number = shares[task.resources], number + 1
            heapq.heappush(ends, (now + seconds[job_id], number, job_id, share))
            free -= share
        now, _, job_id, share = heapq.heappop(ends)
        free += share
        for task in after.pop(job_id, ()):
            enqueue(task)
    return now
