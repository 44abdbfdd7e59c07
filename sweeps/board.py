"""Which tasks are finished, which can start, and which wait for what."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rdc.jobs.job import TrainJob
from rdc.jobs.layout import job_folder
from sweeps.capacity import Resources
from sweeps.forecast import Part, part_of
from sweeps.outputs import Outputs
from sweeps.policy import Start
from sweeps.state import JobFolder
from sweeps.status import total
from sweeps.tasks import Task


class Board:
    """The scheduling state of all tasks. It starts nothing itself.

    Attributes:
      status: final status by job_id, of every task or parent that has one.
      earlier: of jobs that ended before `load`, what their last attempts did.
    """

    def __init__(self, outputs: Outputs, tasks: Iterable[Task]):
        self.outputs, self.out = outputs, outputs.folder
        self.tasks = {task.job_id: task for task in tasks}
        self.status: dict[str, str] = {}
        self.earlier: list[Part] = []
        self._models: dict[str, Path | None] = {}
        # Of trainings, what they made; of other jobs, what they measured.
        self._model_ids: dict[str, str | None] = {}
        self._children: dict[str, list[Task]] = defaultdict(list)
        self._ready: dict[str, Start] = {}
        # Of the ready ones, by what they want: none waits for another kind of machine.
        # What `take` took beside the first is dropped by `next`.
        self._queues: dict[Resources, list[tuple[tuple[float, float], int, str]]]
        self._queues = defaultdict(list)
        self._delayed: list[tuple[float, str, Start]] = []
        self._halted: set[str] = set()
        self._order = {job_id: i for i, job_id in enumerate(self.tasks)}
        # Of what tasks depend on: folders of its kind.
        self._parents: dict[str, str] = {}
        self._measuring: dict[str, list[Task]] = defaultdict(list)
        self._together: dict[str, list[str]] = defaultdict(list)
        for task in self.tasks.values():
            if task.parent is not None:
                self._parents[task.parent] = task.job.parent_folder_name
            if task.parent is not None and not isinstance(task.job, TrainJob):
                self._measuring[task.parent].append(task)
            if task.together is not None:
                self._together[task.together].append(task.job_id)

    def folder(self, job_id: str) -> JobFolder:
        """The folder of a task, or of what a task depends on."""
        task = self.tasks.get(job_id)
        kind = task.job.folder_name if task else self._parents[job_id]
        return JobFolder(job_folder(self.out, kind, job_id), job_id, self.outputs)

    def load(self, retry_failed: bool) -> None:
        """Reads all promoted records; retrains where a needed model is gone.

        Args:
          retry_failed: jobs that failed are to run again, from their checkpoints.
        """
        parents = {task.parent for task in self.tasks.values() if task.parent}
        for job_id in dict.fromkeys([*self.tasks, *parents]):
            folder = self.folder(job_id)
            record = folder.record()
            if record is None:
                continue
            if record.status != "ok" and retry_failed and job_id in self.tasks:
                folder.forgive()
                continue
            self.status[job_id] = record.status
            part = part_of(record) if record.status == "ok" else None
            if part is not None and job_id in self.tasks:
                self.earlier.append(part)
            self._model_ids[job_id] = record.result.get("model_id")
            if job_id in parents and record.status == "ok":
                model = record.result.get("model_dir")
                self._models[job_id] = model and folder.attempt(record.attempt) / model
        for parent in parents:
            self._forget_outdated(parent)
        self._check_models()
        for task in self.unfinished():
            if task.parent is not None:
                self._children[task.parent].append(task)

    def _forget_outdated(self, parent: str) -> list[Task]:
        """Finished jobs that measured another model than the training has now: they
        are to run again, and their records stay aside.
        """
        made = self._model_ids.get(parent)
        outdated = []
        for task in self._measuring[parent]:
            measured = self._model_ids.get(task.job_id)
            if self.status.get(task.job_id) != "ok" or None in (made, measured):
                continue
            if made != measured:
                self.folder(task.job_id).forgive()
                del self.status[task.job_id]
                outdated.append(task)
        return outdated

    def _check_models(self) -> None:
        for parent in {task.parent for task in self.unfinished() if task.parent}:
            if self.status.get(parent) == "ok" and self.model(parent) is None:
                self.folder(parent).set_record_aside("without-model")
                del self.status[parent]

    def model(self, run_id: str) -> Path | None:
        """Folder of the trained model of a run; None where it is gone."""
        path = self._models.get(run_id)
        return path if path is not None and path.is_dir() else None

    def unfinished(self) -> Iterator[Task]:
        """Tasks without a final status."""
        return (t for t in self.tasks.values() if t.job_id not in self.status)

    def startable(self) -> list[Task]:
        """Unfinished tasks that wait for no other; `finish` tells of the rest."""
        return [
            task
            for task in self.unfinished()
            if task.parent is None or self.status.get(task.parent) == "ok"
        ]

    def asked(self) -> dict[Resources, str]:
        """What unfinished tasks ask for, and by which setting."""
        return {task.resources: task.setting for task in self.unfinished()}

    def enqueue(self, task: Task, start: Start, now: float) -> None:
        """Makes a task startable, after the delay that `start` asks for."""
        if task.job.stage in self._halted:
            return
        if start.delay_seconds > 0:
            due = now + start.delay_seconds
            heapq.heappush(self._delayed, (due, task.job_id, start))
        else:
            self._ready[task.job_id] = start
            key = (task.priority, self._order[task.job_id], task.job_id)
            heapq.heappush(self._queues[task.wanted(start.memory_factor)], key)

    def next(
        self, now: float, has_room: Callable[[Resources], bool]
    ) -> tuple[Task, Start] | None:
        """The first task that may start now, where there is room; it stays until
        `take`."""
        while self._delayed and self._delayed[0][0] <= now:
            _, job_id, start = heapq.heappop(self._delayed)
            self.enqueue(self.tasks[job_id], replace(start, delay_seconds=0.0), now)
        for wanted, queue in self._queues.items():
            while queue and self._wanted(queue[0][2]) != wanted:
                heapq.heappop(queue)
        first = [(queue[0], w) for w, queue in self._queues.items() if queue]
        for (_, _, job_id), wanted in sorted(first, key=lambda one: one[0]):
            if has_room(wanted):
                return self.tasks[job_id], self._ready[job_id]
        return None

    def _wanted(self, job_id: str) -> Resources | None:
        """Of a ready task; None where it is not ready any more."""
        if job_id not in self._ready:
            return None
        return self.tasks[job_id].wanted(self._ready[job_id].memory_factor)

    def waiting(self) -> Iterator[Resources]:
        """Of each process that could start if there were room."""
        together = set()
        for job_id, start in self._ready.items():
            task = self.tasks[job_id]
            if task.together is not None and not start.is_short:
                if (task.together, start) in together:
                    continue
                together.add((task.together, start))
            yield task.wanted(start.memory_factor)

    def take(self, task: Task) -> list[Task]:
        """Removes what `next` showed, and the tasks that start with it.

        These are the trainings of the same group that are ready for the same start.
        After an out-of-memory, each runs alone.
        """
        start = self._ready.pop(task.job_id)
        heapq.heappop(self._queues[task.wanted(start.memory_factor)])
        taken = [task]
        group = task.together
        if group is not None and not start.is_short:
            for other in self._together[group]:
                if self._ready.get(other) == start:
                    del self._ready[other]
                    taken.append(self.tasks[other])
        return taken

    def halt(self, stage: str) -> None:
        """Starts no more tasks of a stage; they stay without a final status."""
        self._halted.add(stage)
        for job_id in [i for i in self._ready if self._stage(i) in self._halted]:
            del self._ready[job_id]
        self._delayed = [d for d in self._delayed if self._stage(d[1]) != stage]
        heapq.heapify(self._delayed)

    def is_halted(self, stage: str) -> bool:
        return stage in self._halted

    def _stage(self, job_id: str) -> str:
        return self.tasks[job_id].job.stage

    @property
    def idle(self) -> bool:
        """Nothing can start, now or later, without an attempt ending first."""
        return not self._ready and not self._delayed

    def finish(
        self,
        job_id: str,
        status: str,
        model: Path | None = None,
        model_id: str | None = None,
    ) -> list[Task]:
        """Notes the final status; returns the tasks that can start because of it:
        those that waited for this one, and those that measured an earlier model.
        """
        self.status[job_id] = status
        self._models[job_id], self._model_ids[job_id] = model, model_id
        if status != "ok":
            return []
        return self._children.pop(job_id, []) + self._forget_outdated(job_id)

    def counts(self) -> Counter[str]:
        """Tasks by final status; `pending` has none, `blocked` never will."""
        return total(self.counts_by_stage().values())

    def counts_by_stage(self) -> dict[str, Counter[str]]:
        """The same of each stage."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for job_id, task in self.tasks.items():
            status = self.status.get(job_id)
            if status is None:
                status = "blocked" if self._blocked(task) else "pending"
            counts[task.job.stage][status] += 1
        return counts

    def to_come(self) -> Iterator[Task]:
        """Unfinished tasks that no failure and no halted stage keeps from starting."""
        for task in self.unfinished():
            parent = None if task.parent is None else self.tasks.get(task.parent)
            waits = parent is not None and self.status.get(parent.job_id) != "ok"
            stages = {task.job.stage, *([parent.job.stage] if parent and waits else [])}
            if not (stages & self._halted or self._blocked(task)):
                yield task

    def _blocked(self, task: Task) -> bool:
        if task.parent is None or self.status.get(task.parent) == "ok":
            return False
        return task.parent in self.status or task.parent not in self.tasks
