"""A connection to Ray: a private one on this machine, or an existing cluster."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

import psutil

from rdc.errors import ConfigError

CONNECT_SECONDS = 5.0
_TEMP_PREFIX = "rdc-ray-"
_OBJECT_STORE_BYTES = 100 * 2**20  # tasks exchange almost nothing


class RaySession:
    """An open connection; `ray` is the module, imported with the right variables.

    Ray reads its variables on import, so this is the one place that imports it.

    Raises:
      ConfigError: the cluster does not answer.
    """

    def __init__(self, address: str | None, num_cpus: int | None = None):
        self._temp_dir: Path | None = None
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "namespace": "rdc",
        }
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # A task without a GPU does not hide the GPUs of its process.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if address is None:
            options |= self._private(num_cpus)
        else:
            web = address.startswith("http")
            if not web:
                check_address(address)
            if web or (address != "auto" and speaks_http(address)):
                raise ConfigError(
                    "launch/sweep.py takes HOST:PORT of a head node, as head:6379",
                    f"{address}, which is a dashboard or another web server",
                    "give the head's own port, or submit with launch/submit.py",
                )
            options["address"] = address
        import ray

        self.ray = ray
        # Ray puts in a SIGTERM handler of its own; ours keeps the word.
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise no_answer(address or "a private Ray", reason) from None
        finally:
            signal.signal(signal.SIGTERM, handler)

    def _private(self, num_cpus: int | None) -> dict[str, Any]:
        _remove_temp_dirs_of_the_dead()
        # Ray listens on all interfaces, whatever address it is given: a token of this
        # process keeps others out.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # A short path: Ray's sockets lie deep in it, and their paths are bounded.
        prefix = f"{_TEMP_PREFIX}{os.getpid()}-"
        self._temp_dir = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        return {
            "address": "local",
            "num_cpus": num_cpus,
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_temp_dir": str(self._temp_dir),
        }

    def close(self) -> None:
        """Disconnects; a private Ray ends."""
        self.ray.shutdown()
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)


def speaks_http(address: str) -> bool:
    """Whether `HOST:PORT` answers as a dashboard does, and no head node of Ray."""
    import requests

    try:
        requests.get(f"http://{address}/api/version", timeout=CONNECT_SECONDS)
    except requests.RequestException:
        return False
    return True


def check_address(address: str) -> None:
    """Raises `ConfigError` at once where Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # `auto`
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise no_answer(address, error.strerror or str(error)) from None


def no_answer(address: str, reason: str) -> ConfigError:
    """The error for a cluster that cannot be reached."""
    return ConfigError(
        "the Ray cluster answers",
        f"{address}: {reason}",
        "check cluster.address; without a cluster: launch/sweep.py launcher=local",
    )


def _remove_temp_dirs_of_the_dead() -> None:
    for path in Path("/tmp").glob(f"{_TEMP_PREFIX}*-*"):
        pid = path.name.removeprefix(_TEMP_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
