"""`launch/submit.py`: the same sweep as a job on a Ray cluster that is already up.

The job runs once: submitting the same command again is the recovery, as for
`launch/sweep.py`. While the job runs, the same command shows it again.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.config.app import App, Call
from launch.config.roots import SweepConfig
from launch.staging import stage_code
from launch.submission.job_server import JobServer
from launch.submission.probe import MARK, Wanted
from launch.submission.run_sweep import EXIT_CODE_MARK
from launch.submission.sweep_job import SweepJob, command
from rdc.errors import ConfigError, ExitCode


def run_submit(call: Call[SweepConfig]) -> int:
    """Submits the sweep, or finds its job, shows the log, returns the exit code."""
    console = Console()
    address = call.config.cluster.address
    if address is None:
        raise ConfigError(
            "a job is submitted to a cluster",
            "none",
            "add cluster=NAME or cluster.address=HOST:PORT",
        )
    sweep = SweepJob.of(call)
    server = JobServer(address)
    job_id = _job(server, sweep, call, console)
    try:
        return _follow(server, job_id, console)
    except KeyboardInterrupt:
        console.print(
            f"the job goes on; the same command shows it again, "
            f"ray job stop {job_id} stops it",
            soft_wrap=True,
        )
        raise


def _job(
    server: JobServer, sweep: SweepJob, call: Call[SweepConfig], console: Console
) -> str:
    """Id of the running job of this sweep, or of one that is started now."""
    generation, job = sweep.newest(server.jobs())
    if job is not None and not job.has_ended:
        return _attached(sweep, job, console)
    with tempfile.TemporaryDirectory(prefix="rdc-submit-") as folder:
        code = stage_code(Path(folder) / "code", call.config_dir)
        with console.status(f"asking {server.address} what it can reach"):
            _probe(server, sweep, call.config, code)
        while not server.submit(
            job_id := sweep.job_id(generation + 1),
            sweep.entrypoint,
            code,
            sweep.metadata,
            sweep.environment,
        ):
            # Somebody was faster, or a job of this id was deleted.
            newest, job = sweep.newest(server.jobs())
            if job is not None and not job.has_ended:
                return _attached(sweep, job, console)
            generation = max(newest, generation + 1)
    _tell(console, f"job {job_id} on {server.address}")
    return job_id


def _attached(sweep: SweepJob, job: Any, console: Console) -> str:
    _tell(console, f"job {job.submission_id} is at work already; its log:")
    theirs, ours = job.metadata["rdc_commit"], sweep.metadata["rdc_commit"]
    if theirs != ours:
        _tell(console, f"it runs commit {theirs}; here is {ours}")
    return str(job.submission_id)


def _probe(server: JobServer, sweep: SweepJob, config: SweepConfig, code: Path) -> None:
    """Raises `ConfigError` where the cluster lacks what the sweep needs."""
    sources = (config.data.absolute("train"), config.data.absolute("eval"))
    wanted = Wanted(
        out=sweep.out,
        images=tuple(s for s in sources if not s.startswith("bundled:")),
        carried=config.data.carry,
        scratch=config.cluster.scratch,
    )
    job_id = f"{sweep.name}-probe-{secrets.token_hex(4)}"
    text = json.dumps(wanted.to_dict())
    asked = command(sweep.python, "launch.submission.probe", text)
    server.submit(job_id, asked, code, {}, {})
    try:
        server.ended(job_id)
        lines = server.output(job_id).strip().splitlines()
    except KeyboardInterrupt:
        server.stop(job_id)
        raise
    found = next((line for line in lines if line.startswith(MARK)), None)
    if found is None:
        said = [line for line in lines if asked not in line]  # Ray repeats the command
        raise ConfigError(
            f"{sweep.python} on the cluster has the dependencies",
            said[-1] if said else server.job(job_id).message,
            f"name one that has with cluster.python; the log: ray job logs {job_id}",
        )
    if lacks := json.loads(found.removeprefix(MARK)):
        raise ConfigError(
            "a cluster reaches OUT and the images of its sweeps",
            "; ".join(lacks),
            "nothing was submitted: use out=s3://... or gs://..., data.carry=true, or "
            "folders that every node sees",
        )


def _follow(server: JobServer, job_id: str, console: Console) -> int:
    """Shows the log; the exit code that the sweep ended with."""
    code = None

    def show(line: str) -> None:
        nonlocal code
        if line.startswith(EXIT_CODE_MARK):
            code = int(line.removeprefix(EXIT_CODE_MARK))
        else:
            print(line, flush=True)

    job = server.follow(job_id, show, lambda line: _tell(console, line))
    if code is None:
        code = job.driver_exit_code
    if code is None and job.status == "STOPPED":  # at its very end
        code = ExitCode.INTERRUPTED
    if code is None:
        raise ConfigError(
            "a job ends with an exit code",
            f"{job_id} {str(job.status).lower()}, {job.message or 'without a word'}",
            "its process was killed, or never began: the same command goes on",
        )
    _tell(console, f"job {job_id} ended with exit code {code}")
    return code if code >= 0 else int(ExitCode.CRASHED)


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


SUBMIT_APP = App(
    "sweep",
    SweepConfig,
    run_submit,
    """
Runs a sweep as a job on a Ray cluster that is already up, shows its log, and ends with
its exit code. Code and --config-dir travel with the job; `out` and the folders of
`data` must be reachable from the cluster, which is tried first. The same command again
shows a job that still runs, and starts the next one where it has ended: nothing that
was finished is done again. Ctrl-C leaves the job alone; `ray job stop ID` has it save
its state.""",
    (
        "python launch/submit.py +grid=rdc_mini cluster.address=http://HOST:8265",
        "python launch/submit.py +grid=rdc_mini cluster=NAME --config-dir DIR",
    ),
    groups=("grid", "throughput"),
)
