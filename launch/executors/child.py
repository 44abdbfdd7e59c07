"""One attempt as a subprocess: start, watch, stop. Both executors use this."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from launch.executors.cores import MachineLease
from launch.executors.memory import OutOfMemoryKills
from rdc.errors import DiskFullError, ExitCode
from rdc.jobs.layout import CHECKPOINT_FOLDER, PROGRESS_FILE, log_file
from rdc.jobs.parcel import clear, small_files
from rdc.system.files import storage_error
from rdc.system.gang import Seat, host_environment
from rdc.system.guard import guarded
from sweeps.executor import Attempt, AttemptEnd

ROOT = Path(__file__).resolve().parents[2]
WORKER = (sys.executable, "-m", "rdc.jobs.worker")
PORTER = (sys.executable, "-m", "rdc.jobs.porter")
TIMEOUT_GRACE_SECONDS = 10.0
LEASE_POLL_SECONDS = 0.1
WAITS = "waits until other jobs of this machine end or its timing is over\n"
# Of a GPU's memory, what processes that share it may take. Each also has a context and
# libraries, 0.6 GB of an H100's: 16 that took their shares at once left none for them,
# so that they take what they need, when they need it (docs/results/gpu.md).
_SHARED_MEMORY = 0.9
_MEMORY_VARIABLES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
_TAKE_AT_ONCE = "XLA_PYTHON_CLIENT_PREALLOCATE"


@dataclass(frozen=True)
class ChildSettings:
    """How every subprocess of a sweep is started.

    Attributes:
      command: program and arguments; the attempt folder is appended.
      environment: variables over those of this process; set before the start because
        JAX and XLA read them on import.
      locks: folder of `MachineLease`; None: that of this user on this machine.
      code: what processes import from; None: where this module is, on whatever node.
    """

    command: Sequence[str] = WORKER
    environment: Mapping[str, str] = field(default_factory=dict)
    locks: Path | None = None
    code: Path | None = None

    def variables(self, gpus: float = 0.0, seat: Seat | None = None) -> dict[str, str]:
        """The child's whole environment.

        Args:
          gpus: a share of one GPU comes with as much of its memory.
          seat: among the processes of a training; None: it is alone.
        """
        code = str(self.code or ROOT)
        path = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
        variables = {
            **host_environment(os.environ, seat),
            "PYTHONPATH": path.rstrip(os.pathsep),
            "PYTHONSAFEPATH": "1",  # the attempt folder is no place of modules
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }
        if 0 < gpus < 1 and not any(name in variables for name in _MEMORY_VARIABLES):
            variables[_MEMORY_VARIABLES[0]] = f"{_SHARED_MEMORY * gpus:.3f}"
            variables.setdefault(_TAKE_AT_ONCE, "false")
        return variables


class Child:
    """A subprocess, a process group of its own, which dies with its parent.

    It starts at once, or in a later `poll` where other jobs of this machine are in the
    way: time limits count from then.

    Args:
      seat: among the processes of the attempt, if there are several. The first tells
        of progress; every other has a log of its own.
      variables: over those of `settings`.

    Raises:
      StorageError: the log cannot be written; where the disk is full, `poll` tells.
    """

    def __init__(
        self,
        attempt: Attempt,
        settings: ChildSettings,
        *,
        seat: Seat | None = None,
        variables: Mapping[str, str] | None = None,
    ):
        rank = 0 if seat is None else seat.rank
        if rank:
            attempt = replace(attempt, timeout_seconds=None, stall_seconds=None)
        self.attempt = attempt
        self._log_path = attempt.folder / log_file(rank)
        self._environment = {
            **settings.variables(attempt.resources.gpus, seat),
            **(variables or {}),
        }
        folder = str(attempt.folder)
        self._command = (*settings.command, folder)
        if attempt.parcels:
            self._command = (*PORTER, folder, *settings.command)
        try:
            for parcel, place in zip(attempt.parcels, attempt.folders, strict=False):
                parcel.unpack(place)
        except OSError:
            clear(attempt.folders)
            raise
        self._lease = MachineLease(attempt.resources, settings.locks)
        self._kills = OutOfMemoryKills()
        self._process: subprocess.Popen | None = None
        self._end: AttemptEnd | None = None
        self._began = self._tried = time.monotonic()
        self._kill_at: float | None = None
        # When progress was told, by the file's clock and by ours; when to look again.
        self._told: tuple[int, float] | None = None
        self._looks_at = 0.0
        self._timed_out = self._stalled = False
        if not self._start() and self._end is None:
            with contextlib.suppress(OSError), open(self._log_path, "a") as log:
                log.write(WAITS)

    def _start(self) -> bool:
        """Starts the process if the machine allows it now."""
        try:
            if not self._lease.acquire():
                return False
            cores = ",".join(map(str, self._lease.cores)) or "-"
            guard = guarded(cores)
            self._began = time.monotonic()
            with open(self._log_path, "ab") as log:
                self._process = subprocess.Popen(
                    [*guard, *self._command],
                    cwd=self.attempt.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            self._lease.release()
            problem = storage_error(error, self._log_path)
            if not isinstance(problem, DiskFullError):
                raise problem from error
            self._end = AttemptEnd(self.attempt, ExitCode.DISK_FULL, 0.0)
            return False
        return True

    def poll(self) -> AttemptEnd | None:
        """How the process ended; None while it runs or waits. Enforces time limits."""
        now = time.monotonic()
        if self._process is None:
            if self._end is None and now - self._tried >= LEASE_POLL_SECONDS:
                self._tried = now
                self._start()
            if self._end is not None and self.attempt.parcels:
                clear(self.attempt.folders)
            return self._end
        code = self._process.poll()
        if code is None:
            if not self.attempt.parcels:  # a porter outlives its program
                self._kills.look()
            limit = self.attempt.timeout_seconds
            ended = self._timed_out or self._stalled
            if limit is not None and now - self._began > limit and not ended:
                self._timed_out = True
                self.stop(TIMEOUT_GRACE_SECONDS)
            elif not ended and self._kill_at is None and self._stands_still():
                self._stalled = True
                self.stop(TIMEOUT_GRACE_SECONDS)
            if self._kill_at is not None and now >= self._kill_at:
                self.kill()
            return None
        self._signal(signal.SIGKILL)  # what the process left behind in its group
        self._lease.release()
        seconds = now - self._began
        brought: tuple[dict[str, bytes], ...] = ()
        if self.attempt.parcels:
            brought = tuple(small_files(folder) for folder in self.attempt.folders)
            clear(self.attempt.folders)
        return AttemptEnd(
            self.attempt,
            code,
            seconds,
            timed_out=self._timed_out,
            stalled=self._stalled,
            out_of_memory=code == -signal.SIGKILL and self._memory_ran_out(),
            brought=brought,
        )

    def _memory_ran_out(self) -> bool:
        """Whether the system killed a process for memory since the last look, and we
        killed none."""
        return self._kill_at is None and self._kills.happened()

    def _stands_still(self) -> bool:
        """Whether no training of the process told of progress, or saved its state, for
        too long.
        """
        limit, now = self.attempt.stall_seconds, time.monotonic()
        if limit is None or now < self._looks_at:
            return False
        self._looks_at = now + min(1.0, limit / 4)
        told = 0
        for folder in self.attempt.folders:
            for name in (PROGRESS_FILE, CHECKPOINT_FOLDER):
                with contextlib.suppress(OSError):
                    told = max(told, (folder / name).stat().st_mtime_ns)
        if self._told is None or told != self._told[0]:
            self._told = told, now
        return now - self._told[1] > limit

    def stop(self, grace_seconds: float) -> None:
        """Asks the process to end; it is killed after the grace."""
        if self._kill_at is None:
            self._signal(signal.SIGTERM)
        self._kill_at = time.monotonic() + grace_seconds

    def kill(self) -> None:
        """Ends the process group at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Kills the process and waits for its end."""
        self.kill()
        if self._process is not None:
            self._process.wait()
        self._lease.release()
        if self.attempt.parcels:
            clear(self.attempt.folders)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
        elif self._end is None:  # it waits: nothing is lost
            self._lease.release()
            self._end = AttemptEnd(self.attempt, -number, 0.0)
