"""Tells a URL what happened to a sweep: a POST of a small JSON.

The URL may hold a secret: no message has it. A failure is one line.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

from sweeps.status import SweepStatus

TIMEOUT_SECONDS = 10.0


class Webhook:
    """Posts from threads of their own, so that no sweep waits; use as a context.

    Args:
      url: None: nobody is told.
      say: shows a line.
      timeout_seconds: for an answer; at the end, all are waited for as long.
    """

    def __init__(
        self,
        url: str | None,
        say: Callable[[str], None],
        timeout_seconds: float = TIMEOUT_SECONDS,
    ):
        self._url, self._say, self._timeout_seconds = url, say, timeout_seconds
        self._posts: list[threading.Thread] = []

    def __enter__(self) -> Webhook:
        return self

    def __exit__(self, *_: object) -> None:
        for post in self._posts:
            post.join(self._timeout_seconds + 1)

    def __call__(
        self, event: str, message: str, status: SweepStatus, exit_code: int | None
    ) -> None:
        """As `sweeps.reporter.Notify`."""
        if self._url is None:
            return
        body = {
            "sweep": status.grid,
            "out": status.out,
            "event": event,
            "message": message,
            "counts": dict(status.counts),
            "exit_code": exit_code,
        }
        arguments = self._url, event, json.dumps(body).encode()
        post = threading.Thread(target=self._post, args=arguments, daemon=True)
        post.start()
        self._posts.append(post)

    def _post(self, url: str, event: str, data: bytes) -> None:
        try:
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(url, data, headers, method="POST")
            with urllib.request.urlopen(request, timeout=self._timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            reason = f"it answered {error.code}"
            error.close()
        except TimeoutError:
            reason = f"no answer in {self._timeout_seconds:g} s"
        except (OSError, ValueError, http.client.HTTPException) as error:
            # Of a `URLError`, the cause; texts of the others may hold the URL.
            cause = getattr(error, "reason", None)
            known = isinstance(cause, OSError) and cause.strerror
            reason = str(known or type(error).__name__)
        self._say(f"notify.webhook was not told of this {event}: {reason}")
