"""The event loop of a sweep: starts attempts, promotes records, obeys the policy."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rdc.errors import DiskFullError, ExitCode, StorageError
from rdc.jobs.job import TrainJob
from rdc.jobs.layout import PROGRESS_FILE
from rdc.jobs.records import Record
from sweeps.board import Board
from sweeps.budget import Budget
from sweeps.capacity import refuse_what_never_fits
from sweeps.executor import Attempt, AttemptEnd, Executor
from sweeps.lease import Lease, LeaseLostError
from sweeps.observer import Observer, Running, SweepEnd
from sweeps.outcome import reading
from sweeps.outputs import Outputs
from sweeps.patience import patiently
from sweeps.policy import (
    Action,
    Ended,
    GiveUp,
    Limits,
    Promote,
    Start,
    next_action,
)
from sweeps.state import JobFolder
from sweeps.store_lease import StoreLease
from sweeps.tasks import Task
from sweeps.verdicts import Verdict, Verdicts

WAIT_SECONDS = 0.2
LOOK_SECONDS = 15.0  # between looks for progress in a store


class Driver:
    """Runs tasks on an executor until all have a final status or it must stop.

    Args:
      spent: device-seconds by stage of earlier drivers' processes.
      clock: seconds, of no matter which origin.
    """

    def __init__(
        self,
        outputs: Outputs,
        tasks: Sequence[Task],
        executor: Executor,
        lease: Lease | StoreLease,
        *,
        limits: Limits,
        observer: Observer,
        budget: Budget | None = None,
        spent: Mapping[str, float] | None = None,
        retry_failed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.board = Board(outputs, tasks)
        self.running: dict[str, Running] = {}
        self.started = 0
        self.executor, self.clock = executor, clock
        self.budget = budget or Budget()
        self._lease = lease
        self._limits, self._observer = limits, observer
        self._retry_failed = retry_failed
        self._spent = defaultdict(float, spent or {})
        self._histories: dict[str, list[Ended]] = {}
        self._verdicts = Verdicts(limits.alike)
        self._halted: list[str] = []
        self._stop: tuple[ExitCode, str] | None = None
        self._random = random.Random()
        self._looks_at = 0.0  # for progress in a store

    def request_stop(self) -> None:
        """Ends the sweep with its state kept; safe to call from a signal handler."""
        if self._stop is None:
            self._stop = ExitCode.INTERRUPTED, "interrupted; its state is kept"

    def run(self) -> SweepEnd:
        """Works until everything is finished.

        Raises:
          LeaseLostError: another driver took over.
          ConfigError: a job that no machine can hold; nothing was started.
        """
        began = self.clock()
        self.board.load(self._retry_failed)
        try:
            for task in self.board.startable():
                self._consider(task)
            if not self.board.idle:
                capacity = self.executor.capacity()
                refuse_what_never_fits(capacity, self.board.asked())
            while self._stop is None and (self.running or not self.board.idle):
                spent = sum(self.device_seconds().values())
                reached = self.budget.reached(self.clock() - began, spent)
                if reached is not None:
                    self._stop = ExitCode.SWEEP_BUDGET_REACHED, reached
                self._start_all_that_fit()
                self._turn()
        except StorageError as error:
            self._pause(error)
        if self.running:
            self.executor.stop(self._limits.grace_seconds)
        while self.running:
            self._turn()
        return self._end()

    def _turn(self) -> None:
        self._observer.tick(self)
        for end in self.executor.wait(WAIT_SECONDS):
            try:
                self._ended(end)
            except StorageError as error:
                self._pause(error)
        self._lease.check()

    def _pause(self, error: StorageError) -> None:
        """Starts nothing more; what runs saves its state.

        Raises:
          LeaseLostError: OUT is another driver's; nothing is ours to save.
        """
        if isinstance(error, LeaseLostError):
            raise error
        self._stop = ExitCode.DISK_FULL, f"paused: {error}"

    def _start_all_that_fit(self) -> None:
        while self._stop is None:
            choice = self.board.next(self.clock(), self.executor.has_room)
            if choice is None:
                self.executor.foresee(self.board.waiting())
                return
            task, start = choice
            first, *others = self.board.take(task)
            self._start(first, others, start)

    def _start(self, task: Task, others: Sequence[Task], start: Start) -> None:
        """Starts a process for `task` and what shares it."""
        beside = [(other, self._begin(other, start)) for other in others]
        attempt = self._begin(task, start, [attempt for _, attempt in beside])
        self.executor.start(attempt)
        left = 1.0
        if isinstance(task.job, TrainJob):
            reached = max((e.step for e in self._history(task)), default=0)
            left -= reached / task.job.model.recipe.steps
        running = Running(task, attempt, start, self.clock(), left, beside)
        self.running[task.job_id] = running
        self.started += 1
        self._observer.started(running)

    def _begin(
        self, task: Task, start: Start, others: Sequence[Attempt] = ()
    ) -> Attempt:
        folder = self.board.folder(task.job_id)
        beside = tuple(other.folder for other in others)
        request = replace(
            task.request,
            accumulate=start.accumulate,
            memory_factor=start.memory_factor,
            together=tuple(map(str, beside)),
        )
        if task.job.resumes:
            earlier = folder.resumable()
            request = replace(request, resume_from=tuple(map(str, earlier)))
        if task.parent is not None:
            model = self.board.model(task.parent)
            request = replace(request, model_dir=None if model is None else str(model))
        number, parcel = patiently(lambda: folder.begin(task.job, request))
        timeout = task.timeout_seconds
        if timeout is not None:
            timeout *= 1 + len(others)
        own = () if parcel is None else (parcel,)
        return Attempt(
            task.job_id,
            number,
            folder.workplace(number),
            task.wanted(start.memory_factor),
            setting=task.setting,
            timeout_seconds=timeout,
            stall_seconds=self._limits.stall_seconds if task.job.resumes else None,
            beside=beside,
            elsewhere=start.elsewhere,
            parcels=sum((other.parcels for other in others), own),
        )

    def _ended(self, end: AttemptEnd) -> None:
        running = self.running.pop(end.attempt.job_id)
        self._lease.check()
        # One moment and one jitter, so that what ran together starts again together.
        now, jitter = self.clock(), self._random.random()
        stage, devices = running.task.job.stage, running.attempt.resources.devices
        self._spent[stage] += end.seconds * devices
        attempts = [(running.task, running.attempt), *running.others]
        for place, (task, attempt) in enumerate(attempts):
            folder = self.board.folder(task.job_id)
            own_end = replace(end, attempt=attempt)
            if running.attempt.parcels:
                brought = end.brought[place] if end.brought else None
                patiently(partial(folder.take_home, attempt.number, brought))
            ended = patiently(partial(reading, folder, attempt.number, own_end))
            if ended.outcome != "ok":
                patiently(partial(folder.end, ended))
            if ended.step and ended.outcome != "ok":
                folder.drop_checkpoints(task.request.checkpoint.keep)
            if ended.outcome == "ok" or task is running.task:  # one end, one failure
                self._notice(task, ended)
            self._history(task).append(ended)
            if ended.outcome == "disk_full":
                self._pause(
                    DiskFullError(
                        "outputs need free disk space",
                        f"{ended.error} ({attempt.folder})",
                        "free some space and run the same command again; finished "
                        "work is kept",
                    )
                )
            if self._stop is not None and ended.outcome != "ok":
                continue
            action = self._consider(task, now=now, jitter=jitter)
            self._observer.ended(task, ended, action)

    def _notice(self, task: Task, ended: Ended) -> None:
        """Judges stage and machine, where several jobs fail there."""
        stage, job_id, judge = task.job.stage, task.job_id, self._verdicts
        if ended.outcome == "ok":
            verdicts = judge.succeeded(stage, job_id, ended.node, self._history(task))
        elif ended.outcome == "node_fault":
            verdicts = judge.faulty(ended.node, ended.error or "")
        else:
            places = self.executor.places(task.resources)
            verdicts = judge.failed(stage, job_id, ended, places)
        for verdict in verdicts:
            self._obey(verdict)

    def _obey(self, verdict: Verdict) -> None:
        if verdict.stage:
            if not self.board.is_halted(verdict.stage):
                self.board.halt(verdict.stage)
                self._halted.append(verdict.reason)
                self._observer.halted(verdict.stage, verdict.reason)
            return
        name = self.executor.avoid(verdict.node)
        self._observer.refused(name, verdict.reason)
        wanted = {task.resources for task in self.board.unfinished()}
        held = self.executor.capacity().grows or all(map(self.executor.places, wanted))
        if not held and self._stop is None:
            message = f"no machine is left for these jobs; of {name}: {verdict.reason}"
            self._stop = ExitCode.BAD_INPUT, message

    def _consider(
        self, task: Task, *, now: float = 0.0, jitter: float | None = None
    ) -> Action:
        """Applies the policy to a task that is not running.

        Args:
          now: the moment that a delay counts from.
          jitter: of the delay; None: it starts at once.
        """
        history = self._history(task)
        places = self.executor.places(task.resources) if history else 1
        counted = self._verdicts.counted(history)
        action = next_action(counted, self._limits, jitter or 0.0, places)
        folder = self.board.folder(task.job_id)
        if isinstance(action, Start):
            if jitter is None:
                action = replace(action, delay_seconds=0.0)
            self.board.enqueue(task, action, now)
            return action
        number = history[-1].number
        last = patiently(lambda: folder.attempt_record(number))
        if isinstance(action, Promote):
            if last is None:
                raise StorageError(
                    "the record of a finished attempt stays",
                    f"{folder.attempt(number)} lost it",
                    "run the same command again",
                )
            code = history[-1].exit_code
            self._promote(
                folder, last if code is None else replace(last, exit_code=code)
            )
            if task.job.resumes:
                folder.drop_checkpoints(task.request.checkpoint.keep_finished)
            model = last.result.get("model_dir")
            path = model and folder.attempt(last.attempt) / model
            model_id = last.result.get("model_id")
            for child in self.board.finish(task.job_id, "ok", path, model_id):
                self._histories.pop(child.job_id, None)  # it may begin anew
                self._consider(child)
        else:
            self._promote(folder, self._failure(task, action, history, last))
            self.board.finish(task.job_id, action.status)
        return action

    def _promote(self, folder: JobFolder, record: Record) -> None:
        """Makes it the job's, unless another driver took over."""

        def promote() -> None:
            with self._lease.held():
                folder.promote(replace(record, epoch=self._lease.epoch))

        patiently(promote)

    def _failure(
        self, task: Task, action: GiveUp, history: list[Ended], last: Record | None
    ) -> Record:
        return Record(
            stage=task.job.stage,
            job_id=task.job_id,
            status=action.status,
            attempt=history[-1].number,
            error=action.error,
            exit_code=history[-1].exit_code,
            seconds=history[-1].seconds,
            environment=last.environment if last is not None else {},
        )

    def _history(self, task: Task) -> list[Ended]:
        if task.job_id not in self._histories:
            folder = self.board.folder(task.job_id)
            ends = [reading(folder, number) for number in folder.counted()]
            self._histories[task.job_id] = ends
        return self._histories[task.job_id]

    def progress(self, running: Running) -> dict[str, Any]:
        """The last progress that a running attempt reported."""
        folder = self.board.folder(running.task.job_id)
        if running.attempt.parcels and time.monotonic() >= self._looks_at:
            self._looks_at = time.monotonic() + LOOK_SECONDS
            with contextlib.suppress(StorageError):
                self.board.outputs.fetch_files(
                    self.board.folder(job_id).attempt(one.attempt.number)
                    / PROGRESS_FILE
                    for job_id, one in self.running.items()
                )
        return folder.progress(running.attempt.number)

    def device_seconds(self) -> dict[str, float]:
        """By stage, over all drivers, of what ended and what runs."""
        spent, now = self._spent.copy(), self.clock()
        for running in self.running.values():
            devices = running.attempt.resources.devices
            spent[running.task.job.stage] += (now - running.began) * devices
        return spent

    def _end(self) -> SweepEnd:
        counts = self.board.counts()
        if self._stop is not None:
            code, message = self._stop
        elif self._halted:
            code, message = ExitCode.SWEEP_HAS_FAILED_RUNS, "; ".join(self._halted)
        elif counts["ok"] == len(self.board.tasks):
            code, message = ExitCode.OK, "complete"
        else:
            code, message = ExitCode.SWEEP_HAS_FAILED_RUNS, _failures(counts)
        return SweepEnd(code, message, counts, self.started)


def _failures(counts: Counter[str]) -> str:
    parts = [f"{n} {s}" for s, n in counts.items() if s != "ok" and n]
    return f"finished with failures: {', '.join(parts)}"
