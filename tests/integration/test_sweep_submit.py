"""A sweep submitted as a job to a Ray cluster that is already up."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

SUBMIT = Path(__file__).resolve().parents[2] / "launch" / "submit.py"
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster():
    """Address of the job server of a cluster in a process group of its own."""
    temp_dir = tempfile.mkdtemp(prefix="rdc-t-", dir="/tmp")
    port = free_port()
    command = [RAY, "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--port", str(free_port()), "--dashboard-port", str(port)]
    command += ["--dashboard-agent-listen-port", str(free_port())]
    command += ["--num-cpus", "2", "--temp-dir", temp_dir]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    shutil.rmtree(temp_dir, ignore_errors=True)


def submit(address: str, *options: str) -> subprocess.CompletedProcess:
    """Submits; a cluster that is still starting refuses jobs for some seconds."""
    command = [sys.executable, str(SUBMIT), "+grid=rdc_smoke", *options]
    command += [f"cluster.address={address}", f"cluster.python={sys.executable}"]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    deadline = time.monotonic() + 480
    while True:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        starting = "Ray cluster answers" in done.stderr
        if not starting or time.monotonic() > deadline:
            return done
        time.sleep(1)


def test_the_log_is_shown_and_the_exit_code_handed_on(cluster, tmp_path):
    planned = submit(cluster, f"out={tmp_path}/its out", "plan_only=true")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "jobs by stage: 2 train, 2 evaluate, 2 benchmark, 3 codec" in planned.stdout
    assert (tmp_path / "its out" / "plan.parquet").exists()
    refused = submit(cluster, f"out={tmp_path}/b", "train.crop_px=0", "plan_only=true")
    assert refused.returncode == 2
    assert "train.crop_px is at least 1" in refused.stdout
