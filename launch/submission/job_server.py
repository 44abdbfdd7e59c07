"""The job server of a Ray cluster: its jobs, their logs, how they ended."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import requests

from launch.executors.ray_session import check_address, no_answer, speaks_http
from rdc.errors import ConfigError

POLL_SECONDS = 0.3
RECONNECT_SECONDS = 3.0
PATIENCE_SECONDS = 600.0  # without an answer, before following a job is given up
_LOST = (ConnectionError, RuntimeError, OSError, requests.RequestException)
_LOST_STREAM = (*_LOST, aiohttp.ClientError, asyncio.TimeoutError)
# They would take the place of the address that is asked for.
_ADDRESSES_OF_THE_ENVIRONMENT = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


class JobServer:
    """A connection.

    Args:
      address: `http://HOST:8265`, or `HOST:6379` of the head node.

    Raises:
      ConfigError: nothing answers there, it is no Ray, it is another Ray than ours, or
        it refuses the token.
    """

    def __init__(self, address: str):
        if "://" not in address:
            check_address(address)
            if speaks_http(address):
                address = f"http://{address}"
        for name in _ADDRESSES_OF_THE_ENVIRONMENT:
            os.environ.pop(name, None)
        # Ray's own words about an address that is none come before ours.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
        import ray
        from ray.exceptions import RayError
        from ray.job_submission import JobSubmissionClient

        logging.disable(logging.INFO)  # uploads and web sockets
        self.address = address
        try:
            self._client = JobSubmissionClient(address)
            # `get_version` is that of the protocol.
            theirs = self._client._server_ray_version
        except (*_LOST, RayError, ValueError, KeyError) as error:
            raise _refused(address, error) from None
        if theirs != ray.__version__:
            raise ConfigError(
                "the cluster has the Ray of the one who submits",
                f"Ray {theirs} on {address}, {ray.__version__} here",
                "install that version here, or this one there",
            )

    def jobs(self) -> list[Any]:
        """All that were submitted, as Ray describes them, with `has_ended`."""
        return [_Job(job) for job in self._ask(self._client.list_jobs)]

    def job(self, job_id: str) -> Any:
        return _Job(self._ask(lambda: self._client.get_job_info(job_id)))

    def submit(
        self,
        job_id: str,
        entrypoint: str,
        code: Path,
        metadata: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> bool:
        """Starts a job; False: there is one of this id."""
        try:
            self._client.submit_job(
                submission_id=job_id,
                entrypoint=entrypoint,
                runtime_env={"working_dir": str(code), "env_vars": dict(environment)},
                metadata=dict(metadata),
            )
        except _LOST as error:
            if "already exists" in str(error):
                return False
            raise _refused(self.address, error) from None
        return True

    def stop(self, job_id: str) -> None:
        self._ask(lambda: self._client.stop_job(job_id))

    def output(self, job_id: str) -> str:
        return str(self._ask(lambda: self._client.get_job_logs(job_id)))

    def ended(self, job_id: str) -> Any:
        """The job, when it has ended."""
        while not (job := self.job(job_id)).has_ended:
            time.sleep(POLL_SECONDS)
        return job

    def follow(
        self,
        job_id: str,
        show: Callable[[str], None],
        told: Callable[[str], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Any:
        """The job when it has ended; until then, its log from the begin.

        A stream that breaks is taken up where it was.

        Args:
          show: gets each line of the log, once.
          told: gets a line about the connection.

        Raises:
          ConfigError: no answer for so long, or the cluster knows the job no more.
        """
        lines, lost_at = _Lines(show), None
        while True:
            fault: Exception | None = None
            try:
                asyncio.run(self._tail(job_id, lines))
            except _LOST_STREAM as error:
                fault = error
            try:
                job = _Job(self._client.get_job_info(job_id))
            except _LOST as error:
                if "does not exist" in str(error):
                    raise ConfigError(
                        "the cluster knows the job that is followed",
                        f"none of id {job_id}",
                        "its head was made anew; the same command starts the next one",
                    ) from None
                fault = error
            else:
                lost_at = None
                if job.has_ended:
                    lines.end()
                    return job
            now = time.monotonic()
            if lost_at is None:
                lost_at = now
                told(f"the log broke off ({_first_line(fault)}); connecting again")
            if now - lost_at > patience_seconds:
                raise no_answer(self.address, "for minutes; the job may go on there")
            time.sleep(RECONNECT_SECONDS)

    async def _tail(self, job_id: str, lines: _Lines) -> None:
        lines.begin()
        async for text in self._client.tail_job_logs(job_id):
            lines.add(text)

    def _ask(self, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except _LOST as error:
            raise _refused(self.address, error) from None


class _Job:
    """Ray's description of a job, and whether it has ended."""

    def __init__(self, described: Any):
        self._described = described

    def __getattr__(self, name: str) -> Any:
        return getattr(self._described, name)

    @property
    def has_ended(self) -> bool:
        return bool(self._described.status.is_terminal())


class _Lines:
    """Whole lines of a log that may come again from its begin; each is shown once."""

    def __init__(self, show: Callable[[str], None]):
        self._show, self._shown, self._at, self._rest = show, 0, 0, ""

    def begin(self) -> None:
        """The log comes from its begin."""
        self._at = 0

    def add(self, text: str) -> None:
        new = text[max(self._shown - self._at, 0) :]
        self._at += len(text)
        self._shown = max(self._shown, self._at)
        *lines, self._rest = (self._rest + new).split("\n")
        for line in lines:
            self._show(line)

    def end(self) -> None:
        """Nothing more comes."""
        if self._rest:
            self._show(self._rest)
            self._rest = ""


def _refused(address: str, error: Exception) -> ConfigError:
    reason = _first_line(error)
    if type(error).__name__ == "AuthenticationError":
        return ConfigError(
            "the cluster takes the token that it is given",
            f"{address}: {reason}",
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH",
        )
    if isinstance(error, requests.JSONDecodeError | KeyError | requests.HTTPError):
        reason = "what answers there is no job server of Ray"
    return no_answer(address, reason)


def _first_line(error: Exception | None) -> str:
    lines = str(error or "the server closed it").strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
