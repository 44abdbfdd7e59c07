"""One attempt as a subprocess: start, watch, stop. Both executors use this."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launch.executors.cores import CoreLease
from rdc.system.files import storage_error
from sweeps.executor import Attempt, AttemptEnd

GUARD = Path(__file__).with_name("guard.py")
ROOT = Path(__file__).resolve().parents[2]
WORKER = (sys.executable, "-m", "rdc.jobs.worker")
TIMEOUT_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class ChildSettings:
    """How every subprocess of a sweep is started.

    Attributes:
      command: program and arguments; the attempt folder is appended.
      environment: variables over those of this process; set before the start because
        JAX and XLA read them on import.
    """

    command: Sequence[str] = WORKER
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """The child's whole environment."""
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        return {
            **os.environ,
            "PYTHONPATH": path.rstrip(os.pathsep),
            "PYTHONSAFEPATH": "1",  # the attempt folder is no place of modules
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }


class Child:
    """A running subprocess, a process group of its own, which dies with its parent.

    Raises:
      StorageError: the log cannot be written.
    """

    def __init__(self, attempt: Attempt, settings: ChildSettings, **variables: str):
        self.attempt = attempt
        self._cores = CoreLease(attempt.resources.cpus)
        cores = ",".join(map(str, self._cores.cores)) or "-"
        guard = (sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), cores)
        log_path = attempt.folder / "log.txt"
        self._began = time.monotonic()
        self._kill_at: float | None = None
        self._timed_out = False
        try:
            with open(log_path, "ab") as log:
                self._process = subprocess.Popen(
                    [*guard, *settings.command, str(attempt.folder)],
                    cwd=attempt.folder,
                    env={**settings.variables(), **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            self._cores.release()
            raise storage_error(error, log_path) from error

    def poll(self) -> AttemptEnd | None:
        """How the process ended; None while it runs. Enforces time limits."""
        code = self._process.poll()
        now = time.monotonic()
        if code is None:
            limit = self.attempt.timeout_seconds
            if limit is not None and now - self._began > limit and not self._timed_out:
                self._timed_out = True
                self.stop(TIMEOUT_GRACE_SECONDS)
            if self._kill_at is not None and now >= self._kill_at:
                self.kill()
            return None
        self._signal(signal.SIGKILL)  # what the process left behind in its group
        self._cores.release()
        return AttemptEnd(self.attempt, code, now - self._began, self._timed_out)

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
        self._process.wait()
        self._cores.release()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
