"""Real object stores for tests: SeaweedFS, and a proxy that makes one fail."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

START_SECONDS = 120.0  # on the slowest machine
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
NO_ANSWER = 0
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


def _free_port() -> int:
    """A port that is free, and so is its neighbour 10000 above, SeaweedFS's habit."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port > 50_000:
                port -= 25_000
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port + 10_000))
                return port


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """An S3 store of its own; its endpoint."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    assert weed, "SeaweedFS comes with the tests' dependencies: make install"
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    log = open(folder / "weed.log", "w")  # noqa: SIM115
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    process = subprocess.Popen(
        [
            weed,
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-s3",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            "-master.volumeSizeLimitMB=64",
            "-volume.max=8",
            "-s3.port.iceberg=0",  # services of fixed ports
            "-s3.port.lance=0",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _makes_a_bucket(endpoint):
            assert process.poll() is None, (folder / "weed.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "SeaweedFS does not start"
            time.sleep(0.2)
        yield endpoint
    finally:
        process.kill()
        process.wait()
        log.close()


def _makes_a_bucket(endpoint: str) -> bool:
    request = urllib.request.Request(f"{endpoint}/bucket", method="PUT")
    try:
        return urllib.request.urlopen(request, timeout=5).status == 200
    except urllib.error.HTTPError as error:
        return error.code == 409  # it is there
    except OSError:
        return False


class Server:
    """A server of this process, on a port of its own.

    Args:
      host: the address that it listens on.

    Attributes:
      endpoint: its URL.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1"):
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.handle_error = lambda *_: None  # clients that tests kill
        self.endpoint = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy(Server):
    """Stands before a store.

    Args:
      endpoint: of the store.
      host: the address that the proxy listens on.

    Attributes:
      drops: headers that do not reach the store.
      before, after: called with a request's number, method and path before it is
        handed on, and before its answer is; an HTTP status takes the answer's place,
        and after `NO_ANSWER` the connection is closed without any.
      requests: so many came.
    """

    def __init__(self, endpoint: str, host: str = "127.0.0.1"):
        self._target = endpoint.removeprefix("http://")
        self.drops: set[str] = set()
        self.before: Callable[[int, str, str], int | None] = lambda *_: None
        self.after: Callable[[int, str, str], int | None] = lambda *_: None
        self.requests = 0
        self._lock = threading.Lock()
        super().__init__(self._handler(), host)

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _pass_on(self) -> None:
                with proxy._lock:
                    proxy.requests += 1
                    number = proxy.requests
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                status = proxy.before(number, self.command, self.path)
                if status is not None:
                    self._answer(status, {}, b"")
                    return
                headers = {
                    k: v
                    for k, v in self.headers.items()
                    if k.lower() not in proxy.drops
                }
                connection = http.client.HTTPConnection(proxy._target, timeout=60)
                with contextlib.closing(connection):  # its client may be gone by then
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    data = answer.read()
                    status = proxy.after(number, self.command, self.path)
                    if status is not None:
                        self._answer(status, {}, b"")
                        return
                    told = answer.getheaders()
                    kept = {k: v for k, v in told if k.lower() not in _HOP}
                    self._answer(answer.status, kept, data)

            def _answer(self, status: int, headers: dict, data: bytes) -> None:
                if status == NO_ANSWER:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _pass_on  # noqa: N815

        return Handler
