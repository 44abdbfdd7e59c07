"""One attempt of one job in a process of its own: `python -m rdc.worker ATTEMPT_DIR`.

Reads `../../spec.json` (what) and `request.json` (where and how), writes only inside
the attempt folder, and says how it ended in `record.json` and the exit code.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from rdc.environment import environment
from rdc.errors import (
    DiskFullError,
    ExitCode,
    RdcError,
)
from rdc.files import read_json, write_json_atomically
from rdc.hardware import describe
from rdc.jobs import (
    BenchmarkJob,
    EvaluateJob,
    Job,
    Record,
    Request,
    TrainJob,
    parse_job,
)

_STATUS = {
    ExitCode.DIVERGED: "diverged",
    ExitCode.OUT_OF_MEMORY: "oom",
    ExitCode.PREEMPTED: "preempted",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the attempt in the folder named by the one argument."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m rdc.worker ATTEMPT_DIR", file=sys.stderr)
        return ExitCode.BAD_INPUT
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("rdc").setLevel(logging.INFO)
    folder = Path(arguments[0])
    try:
        job = parse_job(read_json(folder.parent.parent / "spec.json"))
        request = Request.from_dict(read_json(folder / "request.json"), "request")
    except (RdcError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return run_attempt(job, request, folder)


def run_attempt(job: Job, request: Request, folder: Path) -> ExitCode:
    """Runs `job`, writes `folder/record.json`, and says how it ended."""
    started = time.monotonic()
    code, error, result = ExitCode.OK, None, {}
    try:
        result = _STAGES[type(job)](job, request, folder)
    except RdcError as expected:
        code, error = expected.exit_code, str(expected)
        print(f"error: {expected}", file=sys.stderr)
    except Exception as unexpected:  # the boundary of the process: all becomes a record
        code, error = _crash(unexpected)
        traceback.print_exc()
    status = "ok" if code == ExitCode.OK else _STATUS.get(code, "failed")
    record = Record(
        stage=job.stage,
        job_id=job.job_id,
        status=status,
        attempt=int(folder.name),
        error=error,
        seconds=time.monotonic() - started,
        result=result,
        environment=environment(describe()),
    )
    try:
        write_json_atomically(folder / "record.json", record.to_dict())
    except DiskFullError as full:
        print(f"error: {full}", file=sys.stderr)
        return ExitCode.DISK_FULL
    return code


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
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames]
    kind = re.sub(r"\d+", "#", type(error).__name__)
    fingerprint = hashlib.sha256("\n".join([kind, *places]).encode()).hexdigest()[:8]
    return ExitCode.CRASHED, f"{text} [{fingerprint}]"


def _train(job: TrainJob, request: Request, folder: Path) -> dict[str, Any]:
    from rdc.codec.exported import export
    from rdc.training.loop import train

    trained = train(job, request, folder)
    export(trained.model, folder / "model", provenance=job.to_dict())
    return {**trained.result, "model_dir": "model"}


def _evaluate(job: EvaluateJob, request: Request, folder: Path) -> dict[str, Any]:
    from rdc.evaluation import evaluate

    return evaluate(job, request)


def _benchmark(job: BenchmarkJob, request: Request, folder: Path) -> dict[str, Any]:
    from rdc.decode_benchmark import benchmark

    return benchmark(job, request)


_STAGES: dict[type[Job], Any] = {
    TrainJob: _train,
    EvaluateJob: _evaluate,
    BenchmarkJob: _benchmark,
}


if __name__ == "__main__":
    sys.exit(main())
