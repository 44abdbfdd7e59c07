"""A URL is told of a sweep's end; whatever it does, the sweep is not harmed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from launch.commands.sweep import SWEEP_APP, _write_sweep, prepare
from launch.config.app import Call, run_app
from launch.webhook import Webhook
from sweeps.status import StageStatus, SweepStatus

SECRET = "token-that-is-secret"
STATUS = SweepStatus(
    grid="lab",
    out="s3://bucket/lab",
    stages=(StageStatus(stage="train", counts={"ok": 2, "failed": 1}),),
)


@dataclass
class Server:
    """Answers a POST with a code, once it is let.

    Attributes:
      got: what came, with the place that it came to.
    """

    url: str
    code: int = 200
    let: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[str, dict]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.path, json.loads(data)))
            made.let.wait(60)
            self.send_response(made.code)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Server(f"http://127.0.0.1:{http.server_port}/hook?key={SECRET}")
    made.let.set()
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.let.set()
    http.shutdown()
    thread.join()
    http.server_close()


def tell(url: str | None, timeout_seconds: float = 30.0) -> list[str]:
    """The lines that it says."""
    lines: list[str] = []
    with Webhook(url, lines.append, timeout_seconds) as webhook:
        webhook("end", "complete", STATUS, 0)
    return lines


def test_the_end_is_told_in_a_small_json(server: Server) -> None:
    assert tell(server.url) == []
    body = {
        "sweep": "lab",
        "out": "s3://bucket/lab",
        "event": "end",
        "message": "complete",
        "counts": {"ok": 2, "failed": 1},
        "exit_code": 0,
    }
    assert server.got == [(f"/hook?key={SECRET}", body)]


def test_without_a_url_nobody_is_told() -> None:
    assert tell(None) == []


def test_a_server_that_fails_is_one_line(server: Server) -> None:
    server.code = 500
    assert tell(server.url) == [
        "notify.webhook was not told of this end: it answered 500"
    ]


def test_a_server_that_hangs_holds_nobody_up(server: Server) -> None:
    server.let.clear()
    lines: list[str] = []
    began = time.monotonic()
    webhook = Webhook(server.url, lines.append, timeout_seconds=0.5)
    webhook("breaker", "stage train stopped", STATUS, None)
    assert time.monotonic() - began < 0.5 or lines  # it did not wait for the answer
    webhook.__exit__(None)
    assert lines == ["notify.webhook was not told of this breaker: no answer in 0.5 s"]


@pytest.mark.parametrize("place", ["", "not a place", "[::1", ":notaport/"])
def test_no_line_has_the_secret(place: str, server: Server) -> None:
    """Nobody listens there, or it is no place at all."""
    url = f"http://{place or '127.0.0.1:1'}?key={SECRET}"
    [line] = tell(url)
    assert line.startswith("notify.webhook was not told of this end: ")
    assert SECRET not in line


def test_sweep_json_does_not_have_it(tmp_path: Path) -> None:
    def write(call: Call) -> int:
        sweep = prepare(call)
        sweep.out.mkdir()
        _write_sweep(sweep, {})
        return 0

    out = tmp_path / "out"
    url = f"https://example.org/{SECRET}"
    options = ["+grid=rdc_smoke", "stages=[plan]", f"out={out}"]
    app = replace(SWEEP_APP, function=write)
    assert run_app(app, [*options, f"notify.webhook={url}"]) == 0
    assert SECRET not in (out / "sweep.json").read_text()
