"""A sweep submitted as a job to a Ray cluster that is already up."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cut_connection import wire_to

SUBMIT = Path(__file__).resolve().parents[2] / "launch" / "submit.py"
RAY = Path(sys.executable).with_name("ray")
PATIENCE_SECONDS = 480.0
OWN_GRID = """
defaults:
  - rdc_smoke
  - _self_
name: mine
blocks:
  - base: {transform: conv, entropy_model: mean_scale_hyperprior}
expect: {jobs: 1}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def token() -> dict[str, str]:
    """Environment of those whom the cluster lets in."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@pytest.fixture(scope="module")
def port(token: dict[str, str]) -> Iterator[int]:
    """Of the job server of a cluster in a process group of its own."""
    temp_dir = tempfile.mkdtemp(prefix="rdc-t-", dir="/tmp")
    port = free_port()
    command = [RAY, "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--port", str(free_port()), "--dashboard-port", str(port)]
    command += ["--dashboard-agent-listen-port", str(free_port())]
    command += ["--num-cpus", "2", "--temp-dir", temp_dir]
    process = subprocess.Popen(
        command,
        env={**os.environ, **token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield port
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(temp_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the dependencies, and nothing of this project."""
    folder = tmp_path_factory.mktemp("interpreter")
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if "rdc_frontier" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (own,) = venv.glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{packages}\n")
    python = venv / "bin" / "python"
    code = "import importlib.util as u; print(u.find_spec('ray'), u.find_spec('rdc'))"
    found = subprocess.check_output([python, "-c", code], text=True, cwd="/")
    assert re.match(r"ModuleSpec.* None$", found)
    return python


class Submission:
    """A running `launch/submit.py` whose words can be waited for."""

    def __init__(self, log: Path, token: dict[str, str], *options: str, cwd: Path):
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(SUBMIT), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **token, "PYTHONUNBUFFERED": "1"},
                cwd=cwd,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, words: str) -> str:
        """What it said, as soon as that has `words`, a pattern."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not re.search(words, self.said):
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)
        return self.said

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def exit_code(self) -> int:
        return self._process.wait(PATIENCE_SECONDS)


def submitted(
    tmp_path: Path, token: dict[str, str], address: object, *options: str
) -> tuple[int, str]:
    """(exit code, what was said); a cluster that still starts is waited for."""
    given = f"cluster.address=http://127.0.0.1:{address}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        one = Submission(tmp_path / "log", token, given, *options, cwd=tmp_path)
        code = one.exit_code()
        starting = re.search("Ray cluster answers|No available agent", one.said)
        if not starting or time.monotonic() > deadline:
            return code, one.said
        time.sleep(1)


def test_a_stranger_submits_follows_stops_and_goes_on(
    port: int, token: dict[str, str], interpreter: Path, tmp_path: Path
) -> None:
    """From another folder, with a grid of their own, over a line that breaks."""
    mine = tmp_path / "mine" / "grid"
    mine.mkdir(parents=True)
    (mine / "mine.yaml").write_text(OWN_GRID)
    out = tmp_path / "its out"
    options = ["+grid=mine", "--config-dir", "mine", f"out={out}", "train.steps=99999"]
    options += ["checkpoint.every_seconds=0"]
    options += ["stages=[plan,train]", f"cluster.python={interpreter}"]
    code, planned = submitted(tmp_path, token, port, *options, "plan_only=true")
    assert code == 0, planned
    assert "jobs by stage: 1 train" in planned
    assert (out / "plan.parquet").exists()

    def submission(log: str, through: int) -> Submission:
        address = f"cluster.address=http://127.0.0.1:{through}"
        return Submission(tmp_path / log, token, address, *options, cwd=tmp_path)

    with wire_to(port) as wire:
        first = submission("first", wire.port)
        first.until("Running entrypoint")
        (job,) = set(re.findall(r"job (rdc-mine-\w{12}-1) on", first.said))
        assert wire.cut() >= 1
        first.until("the log broke off")
        first.until("started train")
        assert first.said.count("Running entrypoint") == 1  # nothing is shown twice
        first.interrupt()
        assert first.exit_code() == 130
        assert "the job goes on" in first.said

    second = submission("second", port)
    second.until("started train")
    assert f"job {job} is at work already" in second.said
    while not list(out.glob("runs/*/*/attempts/1/checkpoint/*/commit_success.txt")):
        time.sleep(0.1)
    address = {"RAY_ADDRESS": f"http://127.0.0.1:{port}"}
    stop = [RAY, "job", "stop", "--no-wait", job]
    subprocess.run(stop, env={**os.environ, **token, **address}, check=True)
    assert second.exit_code() == 130
    assert "its state is kept" in second.said
    (run,) = out.glob("runs/*/*")
    end = json.loads((run / "attempts/1/end.json").read_text())
    assert end["exit_code"] == 13  # it had the time to save its state
    assert end["step"] >= 20

    third = submission("third", port)
    third.until("started train .*, attempt 2")
    assert f"job {job[:-1]}2 on" in third.said
    request = json.loads((run / "attempts/2/request.json").read_text())
    assert request["resume_from"]
    third.interrupt()
    assert third.exit_code() == 130


def test_what_the_cluster_lacks_is_told_before_anything_is_submitted(
    port: int, token: dict[str, str], tmp_path: Path
) -> None:
    own = f"cluster.python={sys.executable}"
    file = tmp_path / "file"
    file.touch()
    for options, message in (
        ([own, f"out={file}/out"], "cannot write OUT .*: Not a directory"),
        ([own, "out=o", "data.eval=no"], "job's machine: an image set is a folder"),
        (["out=o", "cluster.python=/no/python"], "/no/python: not found"),
    ):
        code, said = submitted(tmp_path, token, port, "+grid=rdc_smoke", *options)
        assert code == 2
        assert re.search(message, said), said
        assert said.startswith("error: ")
        assert said.count("\n") == 1


def test_a_wrong_token_is_refused_in_one_line(port: int, tmp_path: Path) -> None:
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    code, said = submitted(tmp_path, wrong, port, "+grid=rdc_smoke", "out=o")
    assert code == 2
    assert said.startswith("error: the cluster takes the token that it is given")
    assert said.count("\n") == 1
