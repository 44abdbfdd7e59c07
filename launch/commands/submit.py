"""`launch/submit.py`: the same sweep as a job on a Ray cluster that is already up.

The job runs once: submitting the same command again is the recovery, as for
`launch/sweep.py`.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from launch.config.app import App, Config
from launch.config.settings import DataSettings
from launch.executors.ray_session import check_address, no_answer
from rdc.errors import ConfigError
from rdc.specs.base import require
from sweeps.grid import Grid

ROOT = Path(__file__).resolve().parents[2]
STAGED = ("analysis", "conf", "launch", "rdc", "sweeps", "pyproject.toml")
MAX_STAGED_BYTES = 50 * 2**20  # Ray refuses uploads over 100 MiB
_EXIT_CODE_MARK = "sweep-exit-code:"
_OWN_KEYS = (
    "cluster",
    "cluster.address",
    "cluster.python",
    "out",
    "data.train",
    "data.eval",
)


def run_submit(config: Config) -> int:
    """Submits the sweep, shows its log, and returns its exit code."""
    console = Console()
    address = config["cluster"]["address"]
    require(
        isinstance(address, str),
        "a job is submitted to a cluster",
        repr(address),
        "add cluster=NAME or cluster.address=HOST:PORT",
    )
    require("grid" in config, "a sweep has a grid", "none", "add +grid=NAME")
    with tempfile.TemporaryDirectory(prefix="rdc-submit-") as folder:
        working_dir = stage_code(Path(folder) / "code")
        client = _client(address)
        try:
            job = client.submit_job(
                entrypoint=entrypoint(config),
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


def entrypoint(config: Config) -> str:
    """The shell command of the job: the same options with absolute paths.

    The last line that it prints is its exit code, which Ray does not hand on.
    """
    grid = Grid.from_dict(config["grid"])
    data = DataSettings.from_dict(config["data"], "data")
    out = Path(config["out"] or Path("out") / grid.name).expanduser().absolute()
    options = [
        o for o in config["overrides"] if o.split("=")[0].lstrip("+") not in _OWN_KEYS
    ]
    options += [
        "cluster.address=auto",
        f"out={_quoted(out)}",
        f"data.train={_quoted(data.absolute('train'))}",
        f"data.eval={_quoted(data.absolute('eval'))}",
    ]
    command = shlex.join([config["cluster"]["python"], "launch/sweep.py", *options])
    return f"{command}; code=$?; echo {_EXIT_CODE_MARK} $code; exit $code"


def _quoted(value: object) -> str:
    """For Hydra's grammar, in which paths may hold anything between quotes."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def stage_code(folder: Path) -> Path:
    """Copies the code that a job needs, without repository, outputs or data.

    Raises:
      ConfigError: it is larger than a job may bring along.
    """
    folder.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "out")
    for name in STAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require(
        size <= MAX_STAGED_BYTES,
        f"the code of a job has at most {MAX_STAGED_BYTES >> 20} MiB",
        f"{size >> 20} MiB",
        f"move large files out of {', '.join(STAGED)}",
    )
    return folder


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
    run_submit,
    """
Runs a sweep as a job on a Ray cluster that is already up, shows its log, and ends with
its exit code. `out` and the folders of `data` must be reachable from the cluster.""",
    (
        "python launch/submit.py +grid=rdc_mini cluster.address=http://HOST:8265",
        "python launch/submit.py +grid=rdc_mini cluster=NAME --config-dir DIR",
    ),
    groups=("grid",),
)
