"""One attempt of one job, a process: `python -m rdc.jobs.worker ATTEMPT_DIR`.

Reads `../../spec.json` (what) and `request.json` (where and how), writes only inside
the attempt folder, and says how it ended in `record.json` and the exit code.

Of the processes of one training on several hosts (`rdc.system.gang`), the first writes
all of this. The others do the same work in folders that go with them.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rdc.errors import DiskFullError, ExitCode, RdcError
from rdc.jobs.job import Assignment, BenchmarkJob, Job, Request, parse_job
from rdc.jobs.layout import RECORD_FILE, REQUEST_FILE, SPEC_FILE
from rdc.jobs.node_check import check_node
from rdc.jobs.records import Record
from rdc.jobs.stages import STAGES
from rdc.specs.base import require
from rdc.system.environment import environment
from rdc.system.files import read_json, write_json_atomically
from rdc.system.gang import Seat, is_of_another
from rdc.system.hardware import describe
from rdc.system.host_memory import keep_freed_memory

_STATUS = {
    ExitCode.DIVERGED: "diverged",
    ExitCode.OUT_OF_MEMORY: "oom",
    ExitCode.PREEMPTED: "preempted",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the attempt in the folder named by the one argument."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m rdc.jobs.worker ATTEMPT_DIR", file=sys.stderr)
        return ExitCode.BAD_INPUT
    folder = Path(arguments[0])
    try:
        attempts = [read_attempt(folder)]
        beside = attempts[0].request.together
        attempts += [read_attempt(Path(other)) for other in beside]
    except (RdcError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("rdc").setLevel(logging.INFO)
    keep_freed_memory()
    seat = Seat.taken()
    if seat is None:
        return run_attempts(attempts)
    code = _run_beside_others(seat, attempts)
    seat.leave(code)
    return code


def _run_beside_others(seat: Seat, attempts: Sequence[Assignment]) -> ExitCode:
    if seat.rank == 0:
        return run_attempts(attempts, seat)
    with tempfile.TemporaryDirectory() as own:
        places = [Path(own) / str(number) for number in range(len(attempts))]
        for place in places:
            place.mkdir()
        moved = [
            replace(attempt, folder=place)
            for attempt, place in zip(attempts, places, strict=True)
        ]
        return run_attempts(moved, seat)


def read_attempt(folder: Path) -> Assignment:
    """What the process is asked to do in an attempt folder."""
    job = parse_job(read_json(folder.parent.parent / SPEC_FILE))
    request = Request.from_dict(read_json(folder / REQUEST_FILE), "request")
    return Assignment(job, request, folder)


def run_attempts(attempts: Sequence[Assignment], seat: Seat | None = None) -> ExitCode:
    """Runs one attempt, or trainings together, and writes `record.json` of each; none
    where the machine cannot work, or another process is gone, which says nothing of the
    job.

    Args:
      seat: among the processes of a training on several hosts; None: there is one.

    Returns:
      The code that all share; where they differ, `OK`, and the records tell.
    """
    started = time.monotonic()
    ends = _ends(attempts, seat)
    if (code := ends[0][0]) in (ExitCode.NODE_FAULT, ExitCode.PEER_LOST):
        return code
    seconds = time.monotonic() - started
    for attempt, (code, error, result) in zip(attempts, ends, strict=True):
        record = Record(
            stage=attempt.job.stage,
            job_id=attempt.job.job_id,
            status="ok" if code == ExitCode.OK else _STATUS.get(code, "failed"),
            attempt=int(attempt.folder.name),
            error=error,
            exit_code=int(code),
            seconds=seconds,
            result=result,
            environment=_environment(attempt.job),
        )
        try:
            write_json_atomically(attempt.folder / RECORD_FILE, record.to_dict())
        except DiskFullError as full:
            print(f"error: {full}", file=sys.stderr)
            return ExitCode.DISK_FULL
    codes = {code for code, _, _ in ends}
    return codes.pop() if len(codes) == 1 else ExitCode.OK


def _environment(job: Job) -> dict[str, Any]:
    """Versions and hardware; also the planned one where the job landed elsewhere."""
    values = environment(describe())
    planned = getattr(job, "hardware_id", values["hardware_id"])
    if planned != values["hardware_id"]:
        values["planned_hardware_id"] = planned
    return values


def _refuse_other_hardware(job: Job) -> None:
    """Raises `ConfigError` for a timing that landed on other hardware than it names."""
    if not isinstance(job, BenchmarkJob):
        return
    found = describe()
    require(
        found["hardware_id"] == job.hardware_id,
        f"these times are of hardware {job.hardware_id}",
        f"{found['hardware_id']}, {found['device_kind']}",
        "name the machines by hardware.benchmark.device or .devices; OUT/sweep.json "
        "tells what was planned",
    )


End = tuple[ExitCode, str | None, dict[str, Any]]


def _ends(attempts: Sequence[Assignment], seat: Seat | None) -> list[End]:
    """How each attempt ended; what ends the process ends all of them."""
    try:
        if seat is not None:
            seat.join()
        check_node(attempts[0].request)
        _refuse_other_hardware(attempts[0].job)
        results = STAGES[type(attempts[0].job)](attempts)
    except RdcError as expected:
        results = [expected] * len(attempts)
    except Exception as unexpected:  # the boundary of the process: all becomes a record
        traceback.print_exc()
        code, error = _crash(unexpected)
        return [(code, error, {})] * len(attempts)
    ends: list[End] = []
    for result in results:
        if isinstance(result, RdcError):
            print(f"error: {result}", file=sys.stderr)
            ends.append((result.exit_code, str(result), {}))
        else:
            ends.append((ExitCode.OK, None, result.to_dict()))
    return ends


def _crash(error: Exception) -> tuple[ExitCode, str]:
    """Exit code and one line for an unexpected exception.

    The fingerprint is of the places in the code, not of the message, so that the same
    defect has the same one in every run.
    """
    text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
        return ExitCode.OUT_OF_MEMORY, f"out of memory: {text}"
    if "No space left on device" in str(error):
        return ExitCode.DISK_FULL, f"no space left: {text}"
    if is_of_another(error):
        return ExitCode.PEER_LOST, f"another process is gone: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames]
    kind = re.sub(r"\d+", "#", type(error).__name__)
    fingerprint = hashlib.sha256("\n".join([kind, *places]).encode()).hexdigest()[:8]
    return ExitCode.CRASHED, f"{text} [{fingerprint}]"


if __name__ == "__main__":
    sys.exit(main())
