"""What is submitted to a cluster: names, commands, and whose job is whose."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launch.config.app import Call
from launch.submission.job_server import JobServer, _Lines
from launch.submission.sweep_job import SweepJob
from rdc.errors import ConfigError
from tests.unit.launch.calls import called


def sweep(*options: str) -> SweepJob:
    return SweepJob.of(called("+grid=rdc_smoke", "out=/o", *options))


def job(submission_id: str, own: SweepJob, has_ended: bool = True, **known: str) -> Any:
    metadata = {**own.metadata, **known}
    return SimpleNamespace(
        submission_id=submission_id, metadata=metadata, has_ended=has_ended
    )


def test_a_job_is_named_by_what_it_computes() -> None:
    own = sweep()
    assert own.name.startswith("rdc-rdc_smoke-")
    assert own == sweep()
    assert own.name == sweep("cluster.address=HOST:1", "cluster.python=/p").name
    others = [sweep("train.steps=7"), sweep("out=/other"), sweep("data.eval=/images")]
    assert len({own.name, *(other.name for other in others)}) == 4


def test_the_command_becomes_the_process_of_the_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    call = called(
        *("+grid=rdc_smoke", "data.train=my images", "train.steps=5"),
        *("cluster=local", "cluster.address=h:1", "cluster.python=/opt/rdc/bin/python"),
    )
    job = SweepJob.of(replace(call, config_dir=tmp_path))
    begin = "exec /opt/rdc/bin/python -m launch.submission.run_sweep"
    assert job.entrypoint.startswith(
        f"{begin} --config-dir own_options +grid=rdc_smoke train.steps=5"
    )
    assert f"data.train='{tmp_path}/my images'" in job.options
    assert f"out='{tmp_path}/out/rdc_smoke'" in job.options
    assert not {"cluster=local", "cluster.address=h:1"} & set(job.options)
    assert {"cluster.address=auto", "cluster.autoscales=false"} <= set(job.options)
    assert int(job.environment["RAY_JOB_STOP_WAIT_TIME_S"]) > 30


def test_a_variable_that_an_option_names_goes_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOOK", "https://hook.example/secret")
    job = sweep("notify.webhook=${oc.env:HOOK}")
    assert job.environment["HOOK"] == "https://hook.example/secret"
    assert "secret" not in job.entrypoint
    assert job.name != sweep().name


def test_the_newest_job_of_a_sweep_is_found() -> None:
    own, other = sweep(), sweep("train.steps=7")
    assert own.newest([]) == (0, None)
    jobs = [
        job(own.job_id(2), own),
        job(own.job_id(10), own, has_ended=False),
        job(f"{own.name}-probe-1234", own, rdc_out="", rdc_sweep=""),
        job(other.job_id(11), other, rdc_out="/elsewhere"),
        SimpleNamespace(submission_id=None, metadata=None, has_ended=False),
    ]
    assert own.newest(jobs) == (10, jobs[1])


def test_another_sweep_in_this_out_is_refused_while_it_runs() -> None:
    own, other = sweep(), sweep("train.steps=7")
    running = job(other.job_id(1), other, has_ended=False)
    with pytest.raises(ConfigError, match=rf"in an OUT; got /o, .*{other.name}-1"):
        own.newest([running])
    assert own.newest([job(other.job_id(1), other)]) == (0, None)


def test_an_id_of_this_sweep_in_use_by_another_is_refused() -> None:
    own = sweep()
    foreign = job(own.job_id(1), own, rdc_sweep="0" * 64)
    with pytest.raises(ConfigError, match=f"ray job delete {own.name}-1"):
        own.newest([foreign])


def test_a_log_that_comes_again_is_shown_once() -> None:
    shown: list[str] = []
    lines = _Lines(shown.append)
    for text in ("one\ntw", "o\nth"):
        lines.add(text)
    lines.begin()
    for text in ("one\n", "two\nthree\n", "four"):
        lines.add(text)
    assert shown == ["one", "two", "three"]
    lines.end()
    assert shown == ["one", "two", "three", "four"]


@pytest.fixture
def other_ray() -> Iterator[str]:
    """Address of a server that calls itself Ray 2.9.0."""

    class Version(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"version": "4", "ray_version": "2.9.0"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Version) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_cluster_of_another_ray_is_refused(other_ray: str) -> None:
    """Also where the address does not say that it is a dashboard's."""
    for address in (other_ray, f"http://{other_ray}"):
        with pytest.raises(ConfigError, match=r"got Ray 2\.9\.0 on http://127.* here"):
            JobServer(address)


def test_a_call_knows_its_own_options(tmp_path: Path) -> None:
    call: Call = called("+grid=rdc_smoke", "--config-dir", str(tmp_path))
    assert call.config_dir == tmp_path
