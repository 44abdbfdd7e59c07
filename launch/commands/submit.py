"""`launch/submit.py`: the same sweep as a job on a Ray cluster that is already up.

The job runs once: submitting the same command again is the recovery, as for
`launch/sweep.py`.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.config.app import App, Call
from launch.config.composing import quoted
from launch.config.roots import SweepConfig
from launch.executors.ray_session import check_address, no_answer
from launch.staging import stage_code
from rdc.errors import ConfigError

_EXIT_CODE_MARK = "sweep-exit-code:"
_OWN_KEYS = (
    "cluster",
    "cluster.address",
    "cluster.autoscales",
    "cluster.python",
    "cluster.scratch",
    "out",
    "data.train",
    "data.eval",
)


def run_submit(call: Call[SweepConfig]) -> int:
    """Submits the sweep, shows its log, and returns its exit code."""
    console = Console()
    address = call.config.cluster.address
    if address is None:
        raise ConfigError(
            "a job is submitted to a cluster",
            "none",
            "add cluster=NAME or cluster.address=HOST:PORT",
        )
    command = entrypoint(call)
    with tempfile.TemporaryDirectory(prefix="rdc-submit-") as folder:
        working_dir = stage_code(Path(folder) / "code")
        client = _client(address)
        try:
            job = client.submit_job(
                entrypoint=command,
                runtime_env={"working_dir": str(working_dir)},
            )
        except RuntimeError as error:
            raise no_answer(address, _first_line(error)) from None
        console.print(f"job {job} on {address}", highlight=False)
    try:
        code = asyncio.run(_follow(client, job))
    except KeyboardInterrupt:
        console.print(f"the job goes on; stop it with: ray job stop {job}")
        raise
    if code is not None:
        return code
    info = client.get_job_info(job)
    raise ConfigError(
        "the job on the cluster runs", f"{info.status}: {info.message}", "see its log"
    )


def entrypoint(call: Call[SweepConfig]) -> str:
    """The shell command of the job: the same options with absolute paths.

    The last line that it prints is its exit code, which Ray does not hand on.
    """
    data = call.config.data
    options = [
        o for o in call.overrides if o.split("=")[0].lstrip("+") not in _OWN_KEYS
    ]
    options += [
        "cluster.address=auto",
        f"cluster.autoscales={str(call.config.cluster.autoscales).lower()}",
        f"cluster.scratch={quoted(call.config.cluster.scratch)}",
        f"out={quoted(call.config.out_place())}",
        f"data.train={quoted(data.absolute('train'))}",
        f"data.eval={quoted(data.absolute('eval'))}",
    ]
    command = shlex.join([call.config.cluster.python, "launch/sweep.py", *options])
    return f"{command}; code=$?; echo {_EXIT_CODE_MARK} $code; exit $code"


def _client(address: str) -> Any:
    if not address.startswith("http"):
        check_address(address)
    from ray.job_submission import JobSubmissionClient

    logging.disable(logging.INFO)  # uploads and web sockets
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise no_answer(address, _first_line(error)) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


async def _follow(client: Any, job: str) -> int | None:
    """Prints the log while it grows; the exit code that it ends with."""
    code, rest = None, ""
    async for text in client.tail_job_logs(job):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            if line.startswith(_EXIT_CODE_MARK):
                code = int(line.removeprefix(_EXIT_CODE_MARK))
            else:
                print(line, flush=True)
    return code


SUBMIT_APP = App(
    "sweep",
    SweepConfig,
    run_submit,
    """
Runs a sweep as a job on a Ray cluster that is already up, shows its log, and ends with
its exit code. `out` and the folders of `data` must be reachable from the cluster.""",
    (
        "python launch/submit.py +grid=rdc_mini cluster.address=http://HOST:8265",
        "python launch/submit.py +grid=rdc_mini cluster=NAME --config-dir DIR",
    ),
    groups=("grid", "throughput"),
)
