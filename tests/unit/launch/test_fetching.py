"""Fetched images are the published ones, or there is a clear error."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

from launch.commands.data import fetch_kodak
from rdc.errors import DataError


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None: ...


@pytest.fixture
def serve():
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_without_a_network_the_error_says_so(tmp_path):
    with pytest.raises(DataError, match=r"kodim01\.png can be fetched.*network"):
        fetch_kodak(tmp_path, "http://127.0.0.1:1/")


def test_another_file_is_refused(tmp_path, serve):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "kodim01.png").write_bytes(b"not Kodak")
    with pytest.raises(DataError, match="published file"):
        fetch_kodak(tmp_path / "images", serve(tmp_path / "site"))
    assert not (tmp_path / "images" / "kodim01.png").exists()


def test_the_published_images_are_fetched_once(tmp_path, serve, kodak):
    folder = fetch_kodak(tmp_path, serve(kodak))
    assert len(list(folder.glob("kodim*.png"))) == 24
    assert fetch_kodak(tmp_path, "http://127.0.0.1:1/") == folder
